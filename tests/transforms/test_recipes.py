"""Augmentation recipes: what holds for every `conf/augmentation/*.yaml`, also for one not yet written."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import albumentations
import numpy as np
import pytest
import yaml
from hydra.utils import get_object
from numpy.typing import NDArray

from pipeline.data.batches import PreparedSplit
from pipeline.data.draws import OnTheFly
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import CONF, compose, compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.training.construction import build_augmentation, build_mixing
from pipeline.transforms.augmentation import Augmentation, Drawn
from pipeline.transforms.statistics import Statistics, measure

RECIPES = sorted(path.stem for path in (CONF / "augmentation").glob("*.yaml"))
ROWS, COLUMNS = 48, 64
SEEDS = range(16)
CENTRE, RADIUS = (38, 17), 10  # x, y of the pixel in the middle of a disc that most draws leave in sight
POINTS = np.array([[*CENTRE], [28, 17], [38, 7], [62, 46]]) + 0.5
BOXES = np.array([[28, 7, 49, 28, 3], [5, 30, 15, 40, 7]], dtype=float)  # the disc's, and another one
IN_SIGHT = 100  # pixels of the disc's 317, from which on its outline says where it is
CUTTING = {
    "patches"
}  # recipes for networks that take images of any sides, whose images are not those of data.shape
TURNING = ("rotate", "shear")

Pixels = NDArray[np.uint8]
Step = Mapping[str, Any]


def written_steps(recipe: str) -> list[dict[str, Any]]:
    """Return the steps as a recipe's file states them; compose it only where it inherits them."""
    written = yaml.safe_load((CONF / "augmentation" / f"{recipe}.yaml").read_text())
    section = written if "steps" in written else compose_sections([f"augmentation={recipe}"])["augmentation"]
    steps: list[dict[str, Any]] = section["steps"]
    return steps


def moving(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the steps that move pixels, without those that change or drop some in place."""
    for step in steps:
        made = get_object(step["_target_"])
        if "transforms" in step:
            inner = list(moving(step["transforms"]))
            if inner:
                yield {**step, "transforms": inner}
        elif not issubclass(made, albumentations.ImageOnlyTransform) and ".dropout." not in made.__module__:
            yield step


WITH_STEPS = [recipe for recipe in RECIPES if written_steps(recipe)]
KEEPING = [recipe for recipe in WITH_STEPS if recipe not in CUTTING]
MOVING = [recipe for recipe in KEEPING if list(moving(written_steps(recipe)))]


@cache
def declaration_of(recipe: str, channels: int = 3) -> Declaration:
    """Return a checked declaration, or skip where the recipe is refused because it needs colours."""
    try:
        return compose([f"augmentation={recipe}", f"data.shape=[{channels},{ROWS},{COLUMNS}]"])
    except ConfigError as refusal:
        if channels == 1 and "needs colour images" in refusal.problem:
            pytest.skip("this recipe needs colour images, and the checks say so")
        raise


@cache
def statistics_of(channels: int) -> Statistics:
    noise = np.random.default_rng(0).integers(0, 256, (20, ROWS, COLUMNS, channels), dtype=np.uint8)
    return measure([noise], patch=None)


def build(recipe: str, *, channels: int = 3, is_geometric: bool = False) -> Augmentation:
    """Build a recipe as training does, or only the steps of it that move pixels."""
    declaration = declaration_of(recipe, channels)
    if is_geometric:
        section = declaration.sections["augmentation"]
        declaration = declaration.replace(augmentation={**section, "steps": list(moving(section["steps"]))})
    made = build_augmentation(declaration, statistics_of(channels))
    assert made is not None
    return made


def draw_disc(channels: int = 3) -> tuple[Pixels, Pixels]:
    """Return a white disc off the centre as image and as mask."""
    rows, columns = np.ogrid[:ROWS, :COLUMNS]
    mask = ((rows - CENTRE[1]) ** 2 + (columns - CENTRE[0]) ** 2 <= RADIUS**2).astype(np.uint8)
    return np.repeat(mask[..., None] * np.uint8(255), channels, axis=-1), mask


def agreement(image: Pixels, mask: Pixels) -> float:
    """Return intersection over union of bright pixels and mask."""
    bright, marked = image.mean(axis=-1) > 127, mask == 1
    return float((bright & marked).sum() / (bright | marked).sum())


@cache
def draws_in_sight(recipe: str) -> list[tuple[Drawn, Pixels]]:
    """Return draws of the disc, all things with it, that show enough of it, each with its mask."""
    augment = build(recipe, is_geometric=True)
    drawn = [augment(*draw_disc(), seed=seed, boxes=BOXES, points=POINTS) for seed in SEEDS]
    shown = [(each, each.mask) for each in drawn if each.mask is not None and each.mask.sum() >= IN_SIGHT]
    assert len(shown) > len(SEEDS) / 2, "the disc must stay in sight"
    return shown


def box_of(mask: Pixels) -> NDArray[np.int64]:
    """Return x_min, y_min, x_max, y_max of a mask's pixels."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def is_whole(mask: Pixels) -> bool:
    """Tell whether no border cuts the disc; of a cut one, the middle and the box are not the disc's."""
    return not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def turns(steps: Sequence[Step]) -> bool:
    return any(
        turns(step.get("transforms", ()))
        or any(key in step for key in TURNING)
        or "Rotat" in step["_target_"]
        for step in steps
    )


def test_there_are_recipes_of_each_kind() -> None:
    assert set(RECIPES) > set(WITH_STEPS) > set(MOVING) >= {"mirror", "jitter"}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_passes_the_checks_and_builds(recipe: str, channels: int) -> None:
    declaration = declaration_of(recipe, channels)
    settings = declaration.augmentation
    assert (build_mixing(declaration) is None) == (settings.mixing is None)
    if settings.steps:
        assert len(build(recipe, channels=channels).steps) == len(settings.steps)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", WITH_STEPS)
def test_same_seed_gives_the_same_pixels_and_another_seed_others(recipe: str, channels: int) -> None:
    first, second = build(recipe, channels=channels), build(recipe, channels=channels)
    image = np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS, channels), dtype=np.uint8)
    drawn = [first(image, image[..., 0].copy(), seed=seed) for seed in SEEDS]
    again = [second(image, image[..., 0].copy(), seed=seed) for seed in reversed(SEEDS)]
    for one, other in zip(drawn, reversed(again), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)
    assert len({each.image.tobytes() for each in drawn}) > 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", KEEPING)
def test_bytes_shape_and_the_values_of_a_mask_are_kept(recipe: str, channels: int) -> None:
    augment = build(recipe, channels=channels)
    image, mask = draw_disc(channels)
    for seed in SEEDS:
        drawn = augment(image, mask, seed=seed)
        assert drawn.mask is not None
        assert (drawn.image.shape, drawn.mask.shape) == ((ROWS, COLUMNS, channels), (ROWS, COLUMNS))
        assert drawn.image.dtype == drawn.mask.dtype == np.uint8
        assert set(np.unique(drawn.mask)) <= {0, 1}
    np.testing.assert_array_equal(image, draw_disc(channels)[0], err_msg="the original was changed")


@pytest.mark.parametrize("recipe", sorted(CUTTING))
def test_squares_that_are_cut_out_have_their_part_of_the_mask(recipe: str) -> None:
    image, mask = draw_disc()
    for seed in SEEDS:
        drawn = build(recipe)(image, mask, seed=seed)
        assert drawn.mask is not None
        assert drawn.image.shape[0] == drawn.image.shape[1] == len(drawn.mask)
        np.testing.assert_array_equal(drawn.image[..., 0] > 127, drawn.mask == 1)


@pytest.mark.parametrize("recipe", MOVING)
def test_mask_moves_with_the_image(recipe: str) -> None:
    for drawn, mask in draws_in_sight(recipe):
        assert agreement(drawn.image, mask) > 0.9


@pytest.mark.parametrize("recipe", MOVING)
def test_box_moves_with_the_image_and_keeps_its_label(recipe: str) -> None:
    # A box that turns is held by a larger one: 1.7 times as wide for 20 degrees and a shear of 10.
    slack, factor = 2.0, 1.7 if turns(written_steps(recipe)) else 1.0
    for drawn, mask in draws_in_sight(recipe):
        assert drawn.boxes is not None
        assert set(drawn.boxes[:, 4]) <= {3, 7}
        (box,) = drawn.boxes[drawn.boxes[:, 4] == 3]
        tight = box_of(mask)
        box = box.clip(0, np.array([COLUMNS, ROWS, COLUMNS, ROWS, 9]))
        assert max(*(box[:2] - tight[:2]), *(tight[2:] - box[2:4])) <= slack
        if is_whole(mask):
            assert np.all(box[2:4] - box[:2] <= factor * (tight[2:] - tight[:2]) + 2 * slack)


@pytest.mark.parametrize("recipe", MOVING)
def test_point_moves_with_the_image(recipe: str) -> None:
    whole = [(drawn, mask) for drawn, mask in draws_in_sight(recipe) if is_whole(mask)]
    assert len(whole) >= 4, "the disc must stay in sight as a whole"
    for drawn, mask in whole:
        rows, columns = np.nonzero(mask)
        assert drawn.points is not None
        assert np.hypot(*(drawn.points[0] - (columns.mean() + 0.5, rows.mean() + 0.5))) < 2.5


@pytest.mark.parametrize("recipe", MOVING)
def test_no_point_is_lost(recipe: str) -> None:
    for drawn, _ in draws_in_sight(recipe):
        assert drawn.points is not None
        assert drawn.points.shape == POINTS.shape


@pytest.mark.parametrize("recipe", MOVING)
def test_points_keep_their_order(recipe: str) -> None:
    augment = build(recipe, is_geometric=True)
    for seed in SEEDS:
        forth = augment(*draw_disc(), seed=seed, points=POINTS).points
        back = augment(*draw_disc(), seed=seed, points=POINTS[::-1].copy()).points
        assert forth is not None
        assert back is not None
        np.testing.assert_allclose(back[::-1], forth)


@pytest.mark.parametrize("recipe", KEEPING)
def test_image_and_mask_move_alike_with_and_without_boxes_and_points(recipe: str) -> None:
    augment = build(recipe)
    for seed in SEEDS:
        alone = augment(*draw_disc(), seed=seed)
        for more in ({"boxes": BOXES}, {"points": POINTS}, {"boxes": BOXES, "points": POINTS}):
            drawn = augment(*draw_disc(), seed=seed, **more)
            np.testing.assert_array_equal(drawn.image, alone.image)
            np.testing.assert_array_equal(drawn.mask, alone.mask)


@pytest.mark.parametrize("moved", [np.fliplr, np.flipud, lambda disc: np.roll(disc, 3, axis=1)])
def test_agreement_sees_a_mask_that_stays_behind(moved: object) -> None:
    image, mask = draw_disc()
    assert callable(moved)
    assert agreement(image, mask) == 1
    assert agreement(moved(image), mask) < 0.8
    assert agreement(moved(image), moved(mask)) == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", WITH_STEPS)
def test_batches_are_bit_equal_to_those_of_the_plain_path(recipe: str, channels: int) -> None:
    """The plain path: one sample after the other through albumentations' own Compose, both its generators seeded."""
    random_state = np.random.default_rng(1)
    images = random_state.integers(0, 256, (12, ROWS, COLUMNS, channels), dtype=np.uint8)
    masks = random_state.integers(0, 3, (12, ROWS, COLUMNS), dtype=np.uint8)
    kind = load_kind("mask")
    draws = OnTheFly(build(recipe, channels=channels), kind.moves_as, seed=7)
    split = PreparedSplit(images, masks, kind, draws=draws)
    plain = albumentations.Compose(build(recipe, channels=channels).steps)
    for epoch, indices in ((0, [3, 0, 11]), (5, [4, 3, 10, 1])):
        batch = split[epoch, indices]
        for place, index in enumerate(indices):
            seed = int(np.random.SeedSequence((7, epoch, index)).generate_state(1)[0])
            plain.set_random_state(np.random.default_rng(seed), random.Random(seed))
            drawn = plain(image=images[index], mask=masks[index])
            image = drawn["image"].reshape(*drawn["image"].shape[:2], channels)
            np.testing.assert_array_equal(batch["image"][place].permute(1, 2, 0), image)
            np.testing.assert_array_equal(batch["target"][place], drawn["mask"])
