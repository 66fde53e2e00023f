"""Weak localization, by maps and boxes made by hand."""

import numpy as np
import pytest

from pipeline.boxes.weak import (
    THRESHOLDS,
    are_found,
    are_hit,
    box_around,
    boxes_of_maps,
    brightest,
    centre_boxes,
)

NONE = [np.nan] * 4


def made_map() -> np.ndarray:
    """Return a map with a part of 2 x 3 pixels at 0.6, and a brighter one of a single pixel."""
    heat = np.zeros((8, 10))
    heat[2:4, 4:7] = 0.6
    heat[6, 1] = 1
    return heat


def test_box_is_around_the_largest_part_and_not_the_brightest() -> None:
    assert box_around(made_map(), 0.5).tolist() == [4, 2, 7, 4]
    assert box_around(made_map(), 0.7).tolist() == [1, 6, 2, 7]
    assert box_around(made_map(), 0.0).tolist() == [0, 0, 10, 8]
    assert np.isnan(box_around(np.zeros((4, 4)), 0.5)).all()


def test_each_map_has_a_box_at_each_threshold() -> None:
    boxes = boxes_of_maps([made_map()])
    assert boxes.shape == (1, 100, 4)
    assert boxes[0, np.searchsorted(THRESHOLDS, 0.595)].tolist() == [4, 2, 7, 4]


def test_box_in_the_centre_has_a_share_of_each_side() -> None:
    boxes = centre_boxes((20, 40))
    assert boxes[49] == pytest.approx([10, 5, 30, 15])
    assert boxes[-1] == pytest.approx([0, 0, 40, 20])


def test_box_is_found_from_an_iou_of_one_half_with_any_object() -> None:
    objects = np.array([[[0, 0, 4, 4], [10, 10, 14, 14]], [[0, 0, 4, 4], NONE]], float)
    boxes = np.array([[0, 0, 4, 2], [0, 0, 4, 1.9], [10, 10, 14, 13], NONE], float)
    assert are_found(boxes, objects).tolist() == [[True, False, True, False], [True, False, False, False]]


def test_point_counts_inside_of_an_object_only() -> None:
    objects = np.array([[[0, 0, 4, 4], [10, 10, 14, 14]]] * 4 + [[NONE, NONE]], float)
    points = np.array([[3.5, 3.5], [4, 3.5], [10, 13.9], [9.5, 12], [3.5, 3.5]])
    assert are_hit(points, objects).tolist() == [True, False, True, False, False]


def test_brightest_pixel_is_told_by_its_middle() -> None:
    assert brightest(np.stack([made_map(), np.zeros((8, 10))])).tolist() == [[1.5, 6.5], [0.5, 0.5]]
