"""Anchors: a perfect fit where boxes have few shapes, and more anchors fit better."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.boxes.anchors import find_anchors, mean_best_iou, shape_iou


def test_shapes_of_three_kinds_are_found_by_growing_area() -> None:
    kinds = np.array([[4.0, 6.0], [20.0, 10.0], [30.0, 60.0]])
    sizes = kinds[np.random.default_rng(0).integers(0, 3, 100)]
    for seed in range(5):
        assert find_anchors(sizes, 3, seed=seed).tolist() == kinds.tolist()
        assert find_anchors(sizes, 5, seed=seed).tolist() == kinds.tolist(), "there are no more shapes"


@pytest.mark.parametrize("seed", range(5))
def test_more_anchors_fit_better_and_one_is_about_the_mean(seed: int) -> None:
    sizes = np.random.default_rng(seed).lognormal(3, 0.5, (300, 2))
    fits = [mean_best_iou(sizes, find_anchors(sizes, count, seed=0)) for count in range(1, 8)]
    assert fits[0] >= mean_best_iou(sizes, sizes.mean(axis=0)[None])
    assert fits[-1] > fits[3] > fits[0]
    assert find_anchors(sizes, 4, seed=1).tolist() == find_anchors(sizes, 4, seed=1).tolist()


def test_iou_of_shapes_is_that_of_boxes_with_one_centre() -> None:
    found = shape_iou(np.array([[10.0, 10.0]]), np.array([[10.0, 10.0], [20.0, 5.0], [5.0, 5.0]]))
    assert found[0].tolist() == pytest.approx([1.0, 50 / 150, 0.25])
