"""Resize rules: as Pillow does it, and back to the pixels of the image."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.data.pixel_facts import RULES
from pipeline.data.resizing import Resizing, find_parts, predictions_in_files

EACH = pytest.mark.parametrize("rule", RULES)
Sides = tuple[int, int]
SIDES = st.tuples(st.integers(1, 60), st.integers(1, 60))
UNSEEN = 255


def by_pillow(image: Image.Image, rule: str, sides: Sides, padding: int | tuple[int, ...]) -> Image.Image:
    size, method = sides[::-1], Image.Resampling.BILINEAR
    if rule == "letterbox":
        return ImageOps.pad(image, size, method, color=padding)
    return {"squash": image.resize, "crop": partial(ImageOps.fit, image)}[rule](size, method)


@pytest.mark.parametrize("channels", [1, 3])
@EACH
@settings(deadline=None, max_examples=60)
@given(original=SIDES, sides=SIDES, seed=st.integers(0, 9))
def test_image_is_resized_as_pillow_does_it(
    rule: str, channels: int, original: Sides, sides: Sides, seed: int
) -> None:
    shape = original if channels == 1 else (*original, 3)
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))
    mine = Resizing(rule, sides, padding_value=114).image(image)
    if rule == "letterbox" and 0 in ImageOps.contain(image, sides[::-1]).size:
        return  # Pillow leaves nothing of such an image
    theirs = by_pillow(image, rule, sides, 114 if channels == 1 else (114,) * 3)
    assert np.array_equal(np.asarray(mine), np.asarray(theirs))


@EACH
def test_image_that_has_the_sides_already_is_not_copied(rule: str) -> None:
    image = Image.new("L", (7, 5))
    assert Resizing(rule, (5, 7), padding_value=0).image(image) is image


@EACH
@settings(deadline=None, max_examples=100)
@given(original=SIDES, sides=SIDES, where=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_points_go_there_and_back_and_the_middle_stays_in_the_middle(
    rule: str, original: Sides, sides: Sides, where: tuple[float, float]
) -> None:
    place = Resizing(rule, sides, padding_value=0).place(original)
    point = np.array(where) * original[::-1]
    assert place.to_original(place.to_prepared(point)) == pytest.approx(point, abs=1e-9)
    middle = place.to_prepared(np.array(original[::-1]) / 2)
    assert np.abs(middle - np.array(sides[::-1]) / 2).max() <= 0.5  # padding is of whole pixels
    x_scale, y_scale = place.scale
    if rule == "crop":
        assert x_scale == pytest.approx(y_scale)


@pytest.mark.parametrize(
    ("rule", "corner", "end"),
    [
        ("squash", [0, 0], [8, 8]),
        ("letterbox", [0, 2], [8, 6]),
        ("crop", [-4, 0], [12, 8]),
    ],
)
def test_corners_of_an_image_twice_as_wide_as_high_lie_where_they_do_by_hand(
    rule: str, corner: list[float], end: list[float]
) -> None:
    place = Resizing(rule, (8, 8), padding_value=0).place((10, 20))
    corners = np.array([[0.0, 0.0], [20.0, 10.0]])
    assert place.to_prepared(corners).tolist() == [corner, end]
    assert place.to_original(np.array([corner, end])).tolist() == corners.tolist()


@EACH
@settings(deadline=None, max_examples=100)
@given(originals=st.lists(SIDES, min_size=1, max_size=4), sides=SIDES, seed=st.integers(0, 9))
def test_tensors_of_many_images_come_back_as_the_arrays_of_each_do(
    rule: str, originals: list[Sides], sides: Sides, seed: int
) -> None:
    random = np.random.default_rng(seed)
    corners = np.sort(random.uniform(-0.2, 1.2, (len(originals), 3, 2, 2)), axis=2) * sides[::-1]
    rest = np.array([[0, 0.5], [1, 0.25], [-1, 0]])
    boxes = np.concatenate((corners.reshape(-1, 3, 4), np.broadcast_to(rest, (len(originals), 3, 2))), axis=2)
    points = np.concatenate((corners[:, :, 0], corners[:, :, 1, :1]), axis=2)
    original, prepared = (torch.tensor(each, dtype=torch.float64) for each in (originals, sides))
    parts = find_parts(rule, original, prepared, library=torch)
    for places, predictions in (("boxes", boxes), ("points", points)):
        tensor = torch.from_numpy(predictions)
        found = predictions_in_files(places, tensor, original, *parts, library=torch).numpy()
        for each, image, one in zip(found, originals, predictions, strict=True):
            own = Resizing(rule, sides, padding_value=0).place(image).predictions(places, one)
            assert np.array_equal(each, own)
            if places == "boxes":
                assert (own[:, :4] >= 0).all()
                assert (own[:, :4] <= [*image[::-1], *image[::-1]]).all()


def test_box_in_the_padding_is_none_and_one_across_it_is_cut() -> None:
    place = Resizing("letterbox", (8, 8), padding_value=0).place((10, 20))
    rows = np.array(
        [[1.0, 0, 5, 2, 0, 0.9], [0, 1, 8, 4, 1, 0.8], [3, 5, 4, 5.996, 1, 0.7], [0, 0, 0, 0, -1, 0]]
    )
    assert place.predictions("boxes", rows).tolist() == [
        [0, 0, 0, 0, -1, 0],
        [0, 0, 20, 5, 1, 0.8],
        pytest.approx([7.5, 7.5, 10, 9.99, 1, 0.7]),
        [0, 0, 0, 0, -1, 0],
    ]
    assert place.predictions("points", np.array([[4.0, 1.0, 0.5]])).tolist() == [[10, -2.5, 0.5]]


def test_mask_lies_where_its_image_does_and_its_padding_is_marked() -> None:
    mask = np.ones((4, 8), np.uint8)
    found = Resizing("letterbox", (8, 8), padding_value=0).mask(mask, padding=9)
    assert found.tolist() == [[9] * 8] * 2 + [[1] * 8] * 4 + [[9] * 8] * 2
    halves = np.repeat(np.array([[1, 2, 2, 3]], np.uint8), 2, axis=1).repeat(4, axis=0)
    assert Resizing("crop", (8, 8), 0).mask(halves, padding=9).tolist() == [[2] * 8] * 8


@EACH
@settings(deadline=None, max_examples=100)
@given(original=SIDES, factor=st.integers(1, 4))
def test_mask_that_was_enlarged_comes_back_as_it_was(rule: str, original: Sides, factor: int) -> None:
    mask = np.random.default_rng(0).integers(0, 200, original, dtype=np.uint8)
    side = factor * max(original)
    resizing = Resizing(rule, (side, side), padding_value=0)
    prepared = resizing.mask(mask, padding=UNSEEN)
    restored = resizing.place(original).restore(prepared, unseen=UNSEEN)
    assert restored.shape == original
    if rule == "crop":
        is_seen = restored != UNSEEN
        cut = abs(original[0] - original[1])
        assert (~is_seen).sum() in {lines * min(original) for lines in (cut - 1, cut, cut + 1)}
        restored = np.where(is_seen, restored, mask)
    assert np.array_equal(restored, mask)


@EACH
@settings(deadline=None, max_examples=40)
@given(original=st.tuples(*[st.integers(1, 20)] * 2), sides=SIDES)
def test_each_pixel_of_a_restored_mask_is_that_of_the_prepared_one_below_its_centre(
    rule: str, original: Sides, sides: Sides
) -> None:
    prepared = np.random.default_rng(1).integers(0, 200, sides, dtype=np.uint8)
    place = Resizing(rule, sides, padding_value=0).place(original)
    restored = place.restore(prepared, unseen=UNSEEN)
    for row, column in np.ndindex(*original):
        x, y = place.to_prepared(np.array([column + 0.5, row + 0.5]))
        if min(abs(x - round(x)), abs(y - round(y))) < 1e-6:
            continue  # on the border of two pixels
        is_inside = 0 <= x < sides[1] and 0 <= y < sides[0]
        assert restored[row, column] == (prepared[int(y), int(x)] if is_inside else UNSEEN)


@pytest.mark.parametrize("original", [(1, 1), (3000, 20), (20, 3000), (1, 3000)])
@EACH
def test_lines_and_dots_have_a_prepared_image_and_a_way_back(rule: str, original: Sides) -> None:
    resizing = Resizing(rule, (32, 16), padding_value=0)
    image = resizing.image(Image.new("L", original[::-1], 200))
    assert image.size == (16, 32)
    assert np.asarray(image).max() == 200
    assert resizing.place(original).restore(np.zeros((32, 16), np.uint8), unseen=9).shape == original


def test_mask_of_the_centre_of_a_prepared_image_leaves_its_border_unseen() -> None:
    place = Resizing("letterbox", (8, 8), padding_value=0).place((4, 8))
    restored = place.restore(np.ones((4, 4), np.uint8), unseen=9)
    assert restored.tolist() == [[9, 9, 1, 1, 1, 1, 9, 9]] * 4
