"""Points of batches move exactly: as the middle of a square that is moved as a mask; a mirror swaps those of pairs."""

from __future__ import annotations

import albumentations
import numpy as np
import pytest

from pipeline.data.draws import OnTheFly, derive_seed
from pipeline.data.facts import Facts
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose_sections
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.settings import AugmentationSettings, ViewSettings, check_mirrors
from tests.makers import data_section
from tests.refusals import refused
from tests.transforms.test_moved_boxes import EACH, EPOCHS, IMAGES, augmentation_of
from tests.transforms.test_recipes import COLUMNS, ROWS, is_whole

NAMES = ["left", "right", "middle"]
POINTS = np.array(
    [
        [[20.5, 14.5, 1], [44.5, 26.5, 1], [32.5, 20.5, 1]],
        [[8.5, 40.5, 1], [0, 0, 0], [50.5, 12.5, 1]],
    ],
    np.float32,
)
KIND = load_kind("points")
HALF = 2  # pixels: the square around a point reaches that far beyond its pixel
CLOSE = 1.3  # pixels


def on_the_fly(augmentation: Augmentation, swapped: dict[str, str] | None) -> OnTheFly:
    facts = data_section("mine", shape=[3, ROWS, COLUMNS], points=NAMES, swapped_points=swapped, classes=[])
    return OnTheFly(augmentation, KIND.moves_as, seed=3, moving=KIND.moving(Facts(**facts)))


@EACH
def test_point_is_the_middle_of_a_square_that_is_moved_as_a_mask(name: str) -> None:
    num_seen = 0
    for epoch in EPOCHS:
        for index in range(len(POINTS)):
            _, moved = on_the_fly(augmentation_of(name), {}).batch(IMAGES, POINTS, epoch, [index])
            for number in np.flatnonzero(POINTS[index, :, 2]):
                column, row = POINTS[index, number, :2].astype(int)
                mask = np.zeros((ROWS, COLUMNS), np.uint8)
                mask[row - HALF : row + HALF + 1, column - HALF : column + HALF + 1] = 1
                seed = derive_seed(3, epoch, index)
                drawn = augmentation_of(name)(IMAGES[index], mask, seed=seed).mask
                assert drawn is not None
                if drawn.any() and is_whole(drawn):
                    rows, columns = np.nonzero(drawn)
                    expected = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
                    assert moved[0, number, 2] == 1
                    assert np.hypot(*(moved[0, number, :2] - expected)) < CLOSE
                    num_seen += 1
    assert num_seen >= 6


@EACH
def test_points_outside_or_without_a_label_are_not_visible(name: str) -> None:
    for epoch in EPOCHS:
        images, moved = on_the_fly(augmentation_of(name), {}).batch(IMAGES, POINTS, epoch, [1])
        assert moved.shape == (1, 3, 3)
        assert moved.dtype == np.float32
        assert (moved[0, 1] == 0).all()
        assert (moved[..., :2] >= 0).all()
        assert (moved[..., :2] < images.shape[2:0:-1]).all()
        assert (moved[moved[..., 2] == 0] == 0).all()


def test_points_that_leave_the_image_are_hidden() -> None:
    left = albumentations.Affine(translate_px={"x": (-10, -10), "y": (0, 0)}, p=1.0)
    _, moved = on_the_fly(Augmentation([left]), None).batch(IMAGES, POINTS, 0, [1])
    np.testing.assert_allclose(moved[0], [[0, 0, 0], [0, 0, 0], [40.5, 12.5, 1]], atol=1e-4)


MIRRORS = {
    "horizontal": [albumentations.HorizontalFlip(p=1.0)],
    "vertical": [albumentations.VerticalFlip(p=1.0)],
    "transposed": [albumentations.Transpose(p=1.0)],
    "turned": [albumentations.HorizontalFlip(p=1.0), albumentations.Affine(rotate=(80, 80), p=1.0)],
    "warped": [albumentations.HorizontalFlip(p=1.0), *augmentation_of("warps").steps],
    "chosen": [albumentations.OneOf([albumentations.VerticalFlip(p=1.0)], p=1.0)],
}


@pytest.mark.parametrize("steps", MIRRORS.values(), ids=MIRRORS)
def test_mirror_swaps_the_points_of_pairs_and_no_others(steps: list[object]) -> None:
    augmentation = Augmentation(steps)
    _, kept = on_the_fly(augmentation, {}).batch(IMAGES, POINTS, 0, [0])
    _, swapped = on_the_fly(augmentation, {"left": "right"}).batch(IMAGES, POINTS, 0, [0])
    np.testing.assert_array_equal(swapped[0], kept[0, [1, 0, 2]])


@pytest.mark.parametrize("name", ["warps", "affine", "quarter_turns", "jitter"])
def test_image_that_is_mirrored_twice_or_never_keeps_its_points(name: str) -> None:
    for flips in ([], [albumentations.HorizontalFlip(p=1.0), albumentations.VerticalFlip(p=1.0)]):
        augmentation = Augmentation([*flips, *augmentation_of(name).steps])
        for epoch in EPOCHS:
            _, kept = on_the_fly(augmentation, {}).batch(IMAGES, POINTS, epoch, [0])
            _, paired = on_the_fly(augmentation, {"left": "right"}).batch(IMAGES, POINTS, epoch, [0])
            np.testing.assert_array_equal(paired, kept)


def test_step_that_mirrors_where_no_pairs_are_known_is_refused_when_it_does() -> None:
    text = (
        "data.swapped_points: a step of augmentation mirrored an image, and it is not known which points that swaps, "
        "got None; name the pairs, {} if there are none, or choose another augmentation"
    )
    with refused("data.swapped_points", got=None, text=text):
        on_the_fly(Augmentation(MIRRORS["horizontal"]), None).batch(IMAGES, POINTS, 0, [0])


@pytest.mark.parametrize(
    ("recipe", "mirror", "where"),
    [
        ("mirror", False, "augmentation.steps[0]"),
        ("heavy", False, "augmentation.steps[0]"),
        ("jitter", True, "views.mirror"),
    ],
)
def test_declared_mirrors_are_refused_where_no_pairs_are_known(recipe: str, mirror: bool, where: str) -> None:
    settings = AugmentationSettings(**compose_sections([f"augmentation={recipe}"])["augmentation"])
    with refused("data.swapped_points", got=None, hint="name the pairs") as caught:
        check_mirrors(settings, ViewSettings("centre", mirror), got=None)
    assert caught.value.problem == f"it is not known which points a mirror swaps, and {where} mirrors images"
    check_mirrors(AugmentationSettings([], None, None), ViewSettings("centre", mirror=False), got=None)
