"""Boxes of batches move exactly: as a filled rectangle that is moved as a mask, for every recipe and more steps."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import albumentations
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.data.draws import OnTheFly, Precomputed, derive_seed, write_draws
from pipeline.data.facts import Facts
from pipeline.data.targets.kind import load_kind
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.steps import warps
from pipeline.transforms.steps.affine import Affine
from pipeline.transforms.steps.pad_crop import PadCrop
from tests.makers import data_section
from tests.refusals import refused
from tests.transforms.test_recipes import COLUMNS, MOVING, ROWS, box_of, build, is_whole

NONE = [0, 0, 0, 0, -1, 0]
BOXES = np.array(  # of three images: x_min, y_min, x_max, y_max, class, ignored
    [
        [[20, 10, 40, 34, 1, 0], [44, 26, 60, 40, 0, 1], NONE],
        [[2, 3, 18, 15, 0, 0], [30, 2, 62, 46, 1, 0], [5, 30, 21, 45, 0, 1]],
        [NONE, NONE, NONE],
    ],
    np.float32,
)
IMAGES = np.random.default_rng(0).integers(0, 256, (len(BOXES), ROWS, COLUMNS, 3), dtype=np.uint8)
KIND = load_kind("boxes")
EPOCHS = range(8)
CLOSE = (
    1.6  # pixels: the last pixel whose middle is inside may be that far from the tip of a corner that turns
)
TWICE = 2.2  # where a mask is resampled twice, by nearest neighbour
STEPS = {  # beside those of recipes
    "transpose": [albumentations.Transpose(p=0.5)],
    "d4": [albumentations.D4(p=1.0)],
    "flips": [albumentations.VerticalFlip(p=0.5), albumentations.HorizontalFlip(p=0.5)],
    "quarter_turns": [albumentations.RandomRotate90(p=1.0)],
    "affine": [albumentations.Affine(rotate=(-30.0, 30.0), scale=(0.7, 1.4), p=1.0)],
    "shift": [albumentations.Affine(translate_percent=(-0.3, 0.3), p=1.0)],
    "resize": [albumentations.Resize(height=32, width=100, mask_interpolation=6, p=1.0)],
    "crop": [albumentations.RandomCrop(height=40, width=50, p=1.0)],
    "erase": [albumentations.Erasing(scale=(0.2, 0.4), p=1.0)],
    "choice": [albumentations.OneOf([Affine(shear=(-20.0, 20.0)), PadCrop(ROWS, COLUMNS, 0.2)], p=0.9)],
    "warps": [warps.ElasticTransform(alpha=60.0, sigma=6.0, p=1.0), warps.GridDistortion(p=1.0)],
}
EACH = pytest.mark.parametrize("name", [*MOVING, *STEPS])


class Moved(NamedTuple):
    index: int  # of the image
    epoch: int
    sides: tuple[int, ...]
    boxes: NDArray[np.float32]


@cache
def augmentation_of(name: str) -> Augmentation:
    return Augmentation(STEPS[name]) if name in STEPS else build(name, is_geometric=True)


def on_the_fly(augmentation: Augmentation, **changes: float) -> OnTheFly:
    facts = Facts(**data_section("mine", shape=[3, ROWS, COLUMNS], **changes))
    return OnTheFly(augmentation, KIND.moves_as, seed=3, moving=KIND.moving(facts))


def move(name: str) -> list[Moved]:
    """Return the boxes of all images in some epochs; one image at a time, as some steps turn the sides."""
    found = []
    for epoch in EPOCHS:
        for index in range(len(BOXES)):
            images, boxes = on_the_fly(augmentation_of(name)).batch(IMAGES, BOXES, epoch, [index])
            found.append(Moved(index, epoch, images.shape[1:3], boxes[0]))
    return found


def move_as_mask(name: str, index: int, number: int, epoch: int) -> NDArray[np.uint8]:
    """Return a box as a filled rectangle that was moved as a mask."""
    x_min, y_min, x_max, y_max = BOXES[index, number, :4].astype(int)
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[y_min:y_max, x_min:x_max] = 1
    drawn = augmentation_of(name)(IMAGES[index], mask, seed=derive_seed(3, epoch, index))
    assert drawn.mask is not None
    return drawn.mask


@EACH
def test_box_is_the_one_around_a_rectangle_that_is_moved_as_a_mask(name: str) -> None:
    num_seen, close = 0, TWICE if name in ("heavy", "warps") else CLOSE
    for moved in move(name):
        for number in np.flatnonzero(BOXES[moved.index, :, 4] >= 0):
            mask = move_as_mask(name, moved.index, number, moved.epoch)
            if mask.any() and is_whole(mask):  # of one that the border cuts, the rest says less
                same = moved.boxes[(moved.boxes[:, 4:] == BOXES[moved.index, number, 4:]).all(axis=1)]
                (box,) = same[:, :4]
                assert np.abs(box - box_of(mask)).max() <= close, moved
                num_seen += 1
    assert num_seen >= 4


@EACH
def test_boxes_lie_inside_in_their_order_before_empty_rows(name: str) -> None:
    for moved in move(name):
        is_box = moved.boxes[:, 4] >= 0
        assert is_box.tolist() == sorted(is_box, reverse=True)
        assert (moved.boxes[~is_box] == NONE).all()
        assert moved.boxes[:, :4].min() >= 0
        assert (moved.boxes[:, 2:4] <= np.array(moved.sides[::-1])).all()
        width, height = (moved.boxes[is_box, 2:4] - moved.boxes[is_box, :2]).T
        assert (width * height >= 1).all()
        rest = iter(BOXES[moved.index, :, 4:].tolist())
        assert all(
            each in rest for each in moved.boxes[is_box, 4:].tolist()
        )  # of those before, in their order


@pytest.mark.parametrize(("min_visible", "number"), [(0.0, 3), (0.4, 2), (0.6, 1), (1.0, 0)])
def test_boxes_are_dropped_below_the_declared_visible_share(min_visible: float, number: int) -> None:
    left = albumentations.Affine(translate_px={"x": (-10, -10), "y": (0, 0)}, p=1.0)
    boxes = np.array([[[0, 0, 20, 9, 1, 0], [7, 0, 11, 9, 0, 0], [5, 0, 35, 9, 1, 0]]], np.float32)
    draws = on_the_fly(Augmentation([left]), min_visible=min_visible)
    _, found = draws.batch(IMAGES[:1], boxes, 0, [0])
    assert (found[0, :, 4] >= 0).sum() == number  # 1/2, 1/4 and 5/6 of them are left


def test_box_is_clipped_once_after_all_steps() -> None:
    steps = [albumentations.Affine(translate_px={"x": (by, by), "y": (0, 0)}, p=1.0) for by in (-15, 15)]
    _, found = on_the_fly(Augmentation(steps)).batch(IMAGES, BOXES, 0, [0, 1])
    np.testing.assert_allclose(found, BOXES[:2], atol=1e-4)


@pytest.mark.parametrize("name", ["jitter", "heavy", "warp"])
def test_image_is_drawn_as_without_boxes(name: str) -> None:
    drawn, _ = on_the_fly(augmentation_of(name)).batch(IMAGES, BOXES, 1, [0, 1, 2])
    plain, _ = OnTheFly(augmentation_of(name), None, seed=3).batch(IMAGES, BOXES, 1, [0, 1, 2])
    np.testing.assert_array_equal(drawn, plain)


def test_copies_are_the_draws_of_the_first_epochs(tmp_path: Path) -> None:
    draws = on_the_fly(augmentation_of("jitter"))
    write_draws(draws, IMAGES, BOXES, tmp_path, copies=2)
    for epoch in (0, 1):
        copied = Precomputed(tmp_path).batch(IMAGES, BOXES, epoch, [2, 0, 1])
        for one, other in zip(copied, draws.batch(IMAGES, BOXES, epoch, [2, 0, 1]), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_box_does_not_grow_where_steps_undo_each_other() -> None:
    turns = [albumentations.Affine(rotate=(by, by), p=1.0) for by in (30, -30)]
    _, found = on_the_fly(Augmentation(turns)).batch(IMAGES, BOXES, 0, [0, 1])
    np.testing.assert_allclose(found, BOXES[:2], atol=1e-3)


def test_step_that_repeats_boxes_at_the_border_is_refused() -> None:
    step = albumentations.Affine(translate_percent=(0.3, 0.3), border_mode=4, p=1.0)
    with refused("augmentation.steps", hint="its border_mode to 0"):
        Augmentation([step])(IMAGES[0], seed=0, boxes=BOXES[1])
