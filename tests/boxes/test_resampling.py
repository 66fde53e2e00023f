"""Scores of drawn images: to the byte those of their matches, sorted anew."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.boxes.average_precision import SIZES
from pipeline.boxes.matches import Matches, encode
from pipeline.boxes.resampling import Resampling
from tests.boxes.random_boxes import MOST, NUM_CLASSES, Array, random_boxes


def rows_of(seed: int, *, has_ties: bool) -> Array:
    """Return rows of matches; the confidences of `random_boxes` are twelfths, of which many are equal."""
    detections, objects = random_boxes(seed)
    if not has_ties:
        noise = np.random.default_rng(seed).uniform(0, 1e-3, detections.shape[:2])
        detections[..., 5] = -np.sort(-(detections[..., 5] + noise), axis=1)
    return encode(detections, objects)


@pytest.mark.parametrize("has_ties", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_drawn_images_have_the_precisions_and_recalls_of_their_matches(seed: int, has_ties: bool) -> None:
    rows = rows_of(seed, has_ties=has_ties)
    source = Resampling(Matches(rows, MOST, NUM_CLASSES))
    assert bool(source.tied) == has_ties
    random = np.random.default_rng(seed)
    samples = [np.arange(len(rows)), np.array([3]), np.delete(np.arange(len(rows)), [0, 7])]
    samples += [random.integers(0, len(rows), len(rows)) for _ in range(20)]
    for images in samples:
        drawn, own = source.draw(images), Matches(rows[images], MOST, NUM_CLASSES)
        assert np.array_equal(drawn.counts, own.counts)
        for size in SIZES:
            assert drawn.precisions(size).tobytes() == own.precisions(size).tobytes()
        for most in (1, 3, MOST):
            assert drawn.recalls(most).tobytes() == own.recalls(most).tobytes()


def test_images_without_detections_or_objects_are_drawn_too() -> None:
    nothing = encode(np.full((3, 2, 6), -1.0), np.full((3, 2, 6), -1.0))
    source = Resampling(Matches(nothing, 2, NUM_CLASSES))
    drawn = source.draw(np.array([0, 0, 2]))
    assert np.isnan(drawn.precisions()).all()
    assert np.isnan(drawn.recalls(1)).all()
    assert not drawn.counts.any()
