"""Predictions as a user gets them: values worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.tasks.classification import predictions as classification
from pipeline.tasks.predictions import Predicted, load_present, present_numbers
from pipeline.tasks.segmentation import predictions as segmentation
from tests.makers import data_section


def facts(**changes: Any) -> Facts:
    return Facts(**data_section("nowhere", **changes))


def test_class_is_the_most_probable_one_and_every_class_has_its_probability() -> None:
    shown = classification.present(Predicted(np.array([0.25, 0.75]), (8, 8)), facts())
    assert shown.cells == {"class": "dog", "cat": "0.25000000", "dog": "0.75000000"}
    assert shown.shares == {"dog": 1.0}
    assert shown.caption == "dog 75%"


def test_class_that_is_called_like_a_column_keeps_a_column_of_its_own() -> None:
    shown = classification.present(
        Predicted(np.array([0.25, 0.75]), (8, 8)), facts(classes=["file", "error"])
    )
    assert list(shown.cells) == ["class", "class file", "class error"]


def test_mask_is_enlarged_by_nearest_neighbour_and_its_shares_are_those_of_its_pixels() -> None:
    mask = np.array([[0, 1], [1, 1]], np.uint8)
    shown = segmentation.present(Predicted(mask, (4, 6)), facts(shape=[1, 2, 2]))
    expected = np.array([[0, 0, 0, 1, 1, 1]] * 2 + [[1] * 6] * 2)
    assert np.array_equal(shown.arrays["mask"], expected)
    assert shown.arrays["mask"].dtype == np.uint8
    assert shown.cells == {"cat": "0.250000", "dog": "0.750000"}


@pytest.mark.parametrize(("ignore_label", "value"), [(None, 255), (7, 7)])
def test_border_that_the_network_does_not_see_belongs_to_no_class(
    ignore_label: int | None, value: int
) -> None:
    mask = np.ones((2, 2), np.uint8)
    shown = segmentation.present(Predicted(mask, (4, 4)), facts(shape=[1, 4, 4], ignore_label=ignore_label))
    expected = np.full((4, 4), value)
    expected[1:3, 1:3] = 1
    assert np.array_equal(shown.arrays["mask"], expected)
    assert shown.cells == {"cat": "0.000000", "dog": "0.250000"}
    assert shown.mask is not None
    assert np.array_equal(shown.mask, np.where(expected == value, 0, expected)), "the border is not painted"


def test_mask_goes_back_by_the_rule_of_the_data() -> None:
    mask = np.array([[9, 9], [0, 1], [0, 1], [9, 9]], np.uint8).repeat(2, axis=1)
    padded = facts(shape=[1, 4, 4], resize="letterbox", ignore_label=9)
    shown = segmentation.present(Predicted(mask, (2, 4)), padded)
    assert shown.arrays["mask"].tolist() == [[0, 0, 1, 1]] * 2
    cropped = facts(shape=[1, 2, 2], resize="crop")
    shown = segmentation.present(Predicted(np.array([[0, 1], [0, 1]], np.uint8), (2, 4)), cropped)
    assert shown.arrays["mask"].tolist() == [[255, 0, 1, 255]] * 2
    assert shown.cells == {"cat": "0.250000", "dog": "0.250000"}


@pytest.mark.parametrize(
    ("values", "ignore_label", "expected"),
    [
        ({0: "cat", 255: "dog"}, None, [[0, 255, 254]]),
        ({7: "cat", 8: "cat", 9: "dog", 3: None}, 255, [[7, 9, 3]]),
        ({300: "cat", 2: "dog"}, None, [[300, 2, 255]]),
        ({"#ff0000": "cat", "#000000": "dog"}, None, [[[255, 0, 0], [0, 0, 0], [1, 1, 1]]]),
        (
            {"#ff0000": "cat", "#0000ff": "dog", "#102030": None},
            255,
            [[[255, 0, 0], [0, 0, 255], [16, 32, 48]]],
        ),
    ],
)
def test_mask_has_the_values_of_the_masks_of_the_user(
    values: dict[int | str, str | None], ignore_label: int | None, expected: list[Any]
) -> None:
    mask = np.array([[0, 1, segmentation.NO_CLASS]], np.uint8)
    where = facts(format="image_masks", mask_values=values, ignore_label=ignore_label)
    found = segmentation.to_user_values(mask, where)
    assert found.tolist() == expected
    assert found.dtype == (np.uint16 if np.max(expected) > 255 else np.uint8)


def test_task_without_predictions_of_its_own_has_its_numbers_as_cells_and_arrays_as_files() -> None:
    assert load_present("pipeline.layers.task.Nothing") is present_numbers
    assert present_numbers(Predicted(np.float32(2.5), (8, 8)), facts()).cells == {"prediction": "2.5"}
    cells = present_numbers(Predicted(np.array([1.0, 0.5]), (8, 8)), facts()).cells
    assert cells == {"prediction_0": "1", "prediction_1": "0.5"}
    assert present_numbers(Predicted(np.zeros((2, 3)), (8, 8)), facts()).arrays.keys() == {"prediction"}
