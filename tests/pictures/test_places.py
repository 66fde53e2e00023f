"""Boxes and points over images: where they are drawn, in which colour, and what lies outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures.colours import COLOURS, colour_of
from pipeline.pictures.places import SMALLEST, Marks, draw_boxes, draw_marks, mark
from pipeline.pictures.sheets import CELL, draw_sheet

GREY = np.full((400, 500, 1), 128, np.uint8)


def painted(image: np.ndarray, colour: str) -> np.ndarray:
    """Return which pixels of an image (H, W, 3) have a colour."""
    return (image == [int(colour[place : place + 2], 16) for place in (1, 3, 5)]).all(axis=-1)


def test_outline_of_a_box_lies_just_inside_of_it() -> None:
    drawn = mark(GREY, Marks(np.array([[20, 30, 120, 80]]), colours=["#AA4499"], names=[""]), scale=1)
    rows, columns = np.nonzero(painted(drawn, "#AA4499"))
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (20, 30, 120, 80)
    assert (drawn[40:70, 30:110] == 128).all()
    assert drawn.shape == (400, 500, 3)


def test_point_is_a_dot_around_its_place() -> None:
    drawn = mark(GREY, Marks(points=np.array([[200.5, 100.5]]), colours=["#117733"], names=[""]), scale=1)
    rows, columns = np.nonzero(painted(drawn, "#117733"))
    assert (columns.mean(), rows.mean()) == pytest.approx((200, 100), abs=0.5)
    assert len(rows) > 20


def test_dashed_box_is_drawn_with_gaps() -> None:
    box = np.array([[20, 30, 320, 280]])
    whole, dashed = (
        painted(
            mark(GREY, Marks(box, colours=["#AA4499"], names=[""], is_dashed=[each]), scale=1), "#AA4499"
        ).sum()
        for each in (False, True)
    )
    assert 0.3 * whole < dashed < 0.7 * whole


def test_small_image_is_enlarged_by_a_whole_factor_and_places_with_it() -> None:
    image = np.random.default_rng(0).integers(0, 100, (30, 40, 3), dtype=np.uint8)
    drawn = draw_boxes(image, np.array([[10, 5, 20, 25]]), [""], labels=[1])
    factor = SMALLEST // 40
    assert drawn.shape == (30 * factor, 40 * factor, 3)
    rows, columns = np.nonzero(painted(drawn, colour_of(1)))
    assert (columns.min(), rows.max() + 1) == (10 * factor, 25 * factor)
    assert (drawn[::factor, 30 * factor :: factor] == image[:, 30:]).all()


def test_name_is_written_above_its_box_or_inside_at_the_upper_border() -> None:
    for top, is_above in ((100, True), (0, False)):
        box = np.array([[50, top, 200, 300]])
        plain = draw_boxes(GREY, box, [""], labels=[0])
        named = draw_boxes(GREY, box, ["dog 87%"], labels=[0])
        rows = np.nonzero((plain != named).any(axis=(1, 2)))[0]
        assert (rows.max() < top) == is_above


def test_marks_outside_of_the_image_and_empty_ones_are_no_error() -> None:
    marks = Marks(
        np.array([[-50, -50, 900, 900], [10, 10, 10, 10]]), np.array([[-9, -9]]), ["#AA4499"] * 3, ["a"] * 3
    )
    assert draw_marks(GREY, marks).shape == (400, 500, 3)
    assert (draw_marks(GREY, Marks()) == 128).all()


def test_many_labels_share_colours() -> None:
    assert colour_of(0) == colour_of(len(COLOURS)) != colour_of(1)


def test_marks_of_a_sheet_are_scaled_to_its_cells(tmp_path: Path) -> None:
    marks = Marks(np.array([[0, 0, 4, 4]]), colours=["#AA4499"], names=[""])
    image = np.full((8, 8, 1), 128, np.uint8)
    draw_sheet([image, image], tmp_path / "sheet.png", marks=[marks, Marks()])
    with Image.open(tmp_path / "sheet.png") as sheet:
        rows, columns = np.nonzero(painted(np.asarray(sheet.convert("RGB")), "#AA4499"))
    assert np.ptp(rows) + 1 == pytest.approx(CELL / 2, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(CELL / 2, abs=1)
