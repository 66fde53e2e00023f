"""Cut-outs on photographs: their boxes are those of what is opaque, and splits share nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.random import RandomState
from PIL import Image

from pipeline.data.bundled.objects import (
    MOST,
    SIDE,
    SIDES,
    SPLITS,
    add_objects,
    blend,
    cut,
    of_split,
    open_stamp,
)
from pipeline.data.bundled.scenes import overlap


def encode(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def disc(side: int, colour: tuple[int, int, int]) -> Image.Image:
    """Return a disc that fills a square of transparent pixels."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.where(np.hypot(x, y) <= side / 2, 255, 0)
    stamp = open_stamp(encode(np.pad(pixels, ((5, 9), (3, 4), (0, 0)))))
    assert stamp is not None
    return stamp


def test_stamp_is_cut_to_what_is_opaque_and_one_without_transparency_is_left_out() -> None:
    assert disc(31, (255, 0, 0)).size == (31, 31)
    assert open_stamp(encode(np.full((8, 8, 3), 7, np.uint8))) is None


def test_splits_share_no_image() -> None:
    images = list(range(67))
    parts = {split: of_split(images, split) for split in ("train", "val", "test")}
    assert sorted(each for part in parts.values() for each in part) == images
    assert [len(part) for part in parts.values()] == [47, 7, 13]
    assert len(SPLITS) == 10


@pytest.mark.parametrize("seed", range(20))
def test_box_is_that_of_the_pixels_that_changed_most_and_none_lies_over_another(seed: int) -> None:
    scene = np.full((SIDE, SIDE, 3), 200, np.uint8)
    found = add_objects(
        scene, {"red": [disc(80, (255, 0, 0))], "blue": [disc(64, (0, 0, 255))]}, RandomState(seed)
    )
    assert 1 <= len(found) <= MOST
    for number, (name, box) in enumerate(found):
        x_min, y_min, x_max, y_max = box
        assert SIDES[0] <= x_max - x_min <= SIDES[1]
        inside = scene[y_min:y_max, x_min:x_max].astype(int)
        channel = {"red": 0, "blue": 2}[name]
        others = np.delete(inside, channel, axis=2).max(axis=2)
        is_covered = others <= 200 * 127 // 255 + 1
        assert is_covered.any(axis=0).all(), "each column has an opaque pixel"
        assert is_covered.any(axis=1).all()
        assert not any(overlap(box, other) for _, other in found[:number])


def test_colours_are_blended_by_alpha() -> None:
    scene = np.full((SIDE, SIDE, 3), 100, np.uint8)
    half = np.zeros((SIDE, SIDE, 4), np.uint8)
    half[...] = (128, 0, 0, 128)  # red at half, multiplied by alpha
    assert blend(scene, half, [], RandomState(0)) == (0, 0, SIDE, SIDE)
    assert np.array_equal(scene[0, 0], [128 + 50, 50, 50])
    assert blend(scene, half, [(0, 0, 1, 1)], RandomState(0)) is None, "there is no room"
    assert blend(scene, half // 2, [], RandomState(0)) is None, "nothing of it is opaque"


def test_square_of_a_photograph_is_inside_it() -> None:
    photograph = np.arange(200 * 170 * 3, dtype=np.int64).reshape(200, 170, 3)
    for seed in range(20):
        part = cut(photograph, RandomState(seed))
        assert part.shape == (SIDE, SIDE, 3)
        rows = part[:, :, 0] // (170 * 3)
        assert (rows == rows[:, :1]).all()
