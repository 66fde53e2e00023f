"""Augmentation recipes: what holds for every `conf/augmentation/*.yaml`, also for one not yet written."""

import albumentations
import numpy as np
import pytest
from hydra.utils import get_object
from numpy.typing import NDArray

from pipeline.assemble import augmentation_of
from pipeline.compose import CONF, check, composed
from pipeline.transforms.augmentation import Augmentation

RECIPES = sorted(path.stem for path in (CONF / "augmentation").glob("*.yaml"))
CONFIGS = {recipe: composed([f"augmentation={recipe}"]) for recipe in RECIPES}
NOT_EMPTY = [recipe for recipe, config in CONFIGS.items() if config["augmentation"]["steps"]]
SEEDS = range(8)
ROWS, COLUMNS = 48, 64

Pixels = NDArray[np.uint8]


def build(recipe: str, *, is_geometric: bool = False) -> Augmentation | None:
    """Build a recipe as training does, or only the steps of it that move pixels."""
    steps = CONFIGS[recipe]["augmentation"]["steps"]
    if is_geometric:
        steps = [step for step in steps if not changes_values_only(step["_target_"])]
    return augmentation_of({"augmentation": {"steps": steps}})


def changes_values_only(target: str) -> bool:
    made = get_object(target)
    return isinstance(made, type) and issubclass(made, albumentations.ImageOnlyTransform)


def draw_disc() -> tuple[Pixels, Pixels]:
    """Return a white disc off the centre as colour image and as mask."""
    rows, columns = np.ogrid[:ROWS, :COLUMNS]
    mask = ((rows - 17) ** 2 + (columns - 38) ** 2 <= 10**2).astype(np.uint8)
    return np.repeat(mask[..., None] * np.uint8(255), 3, axis=-1), mask


def agreement(image: Pixels, mask: Pixels) -> float:
    """Return intersection over union of bright pixels and mask."""
    bright, marked = image.mean(axis=-1) > 127, mask == 1
    return float((bright & marked).sum() / (bright | marked).sum())


def test_there_are_recipes() -> None:
    assert set(RECIPES) > set(NOT_EMPTY) >= {"mirror", "jitter"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_passes_the_checks_and_builds(recipe: str) -> None:
    check(CONFIGS[recipe])
    assert (build(recipe) is not None) == (recipe in NOT_EMPTY)


@pytest.mark.parametrize("recipe", NOT_EMPTY)
def test_mask_moves_with_the_image(recipe: str) -> None:
    augment = build(recipe, is_geometric=True)
    if augment is None:
        pytest.skip("no step of this recipe moves a pixel")
    for seed in SEEDS:
        image, mask = augment(*draw_disc(), seed)
        assert mask is not None
        assert agreement(image, mask) > 0.9, f"seed {seed}"


@pytest.mark.parametrize("moved", [np.fliplr, np.flipud, lambda disc: np.roll(disc, 3, axis=1)])
def test_agreement_sees_a_mask_that_stays_behind(moved: object) -> None:
    image, mask = draw_disc()
    assert callable(moved)
    assert agreement(image, mask) == 1
    assert agreement(moved(image), mask) < 0.8
    assert agreement(moved(image), moved(mask)) == 1


@pytest.mark.parametrize("recipe", NOT_EMPTY)
def test_same_seed_gives_the_same_pixels_and_another_seed_others(recipe: str) -> None:
    first, second = build(recipe), build(recipe)
    assert first is not None
    assert second is not None
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
    drawn = [first(image, image[..., 0].copy(), seed) for seed in SEEDS]
    again = [second(image, image[..., 0].copy(), seed) for seed in reversed(SEEDS)]
    for one, other in zip(drawn, reversed(again), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert len({pixels.tobytes() for pixels, _ in drawn}) > 1


@pytest.mark.parametrize("recipe", NOT_EMPTY)
def test_bytes_and_shape_are_kept(recipe: str) -> None:
    augment = build(recipe)
    assert augment is not None
    for seed in SEEDS:
        image, mask = augment(*draw_disc(), seed)
        assert mask is not None
        assert (image.shape, mask.shape) == ((ROWS, COLUMNS, 3), (ROWS, COLUMNS))
        assert image.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1}
