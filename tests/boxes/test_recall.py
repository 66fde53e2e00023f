"""The share of objects that regions cover, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.boxes.recall import NO_OBJECT, average_recall, best_overlaps, recall

NONE = [0.0, 0, 0, 0, -1, 0]


def test_regions_cover_what_they_overlap_most_among_the_first() -> None:
    objects = np.array(
        [
            [[0.0, 0, 10, 10, 2, 0], [20, 0, 30, 10, 0, 0], NONE],
            [[0, 0, 10, 10, 1, 1], [0, 0, 4, 4, 1, 0], NONE],
            [NONE] * 3,
        ]
    )
    regions = [
        np.array([[0.0, 0, 10, 5], [0, 0, 10, 8], [20, 0, 30, 10]]),
        np.empty((0, 4)),
        np.array([[0.0, 0, 1, 1]]),
    ]
    best = best_overlaps(regions, objects, [1, 2, 10])
    assert best[0].tolist() == [[0.5, 0.8, 0.8], [0, 0, 1], [NO_OBJECT] * 3]
    assert best[1].tolist() == [[NO_OBJECT] * 3, [0] * 3, [NO_OBJECT] * 3], (
        "what is ignored is not to be found"
    )
    assert [recall(best[..., place]) for place in range(3)] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    # Of ten IoUs, 0.8 reaches those up to 0.8, which are seven, and 1 reaches all.
    assert average_recall(best[..., 2]) == pytest.approx((7 + 10 + 0) / 30)


def test_without_objects_recall_is_not_defined() -> None:
    best = best_overlaps([np.empty((0, 4))], np.array([[NONE]]), [1])
    assert np.isnan(recall(best))
    assert np.isnan(average_recall(best))
