"""Assembling a declaration: what the pipeline gives to steps of augmentation, and what each section becomes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.draws import OnTheFly
from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose_sections
from pipeline.errors import ConfigError
from pipeline.training.assemble import make_train_split, views_of
from pipeline.training.construction import build_augmentation, build_mixing
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.mixing import CutMix, Mixup
from pipeline.transforms.statistics import measure
from pipeline.transforms.steps import PcaColor

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
STATISTICS = measure([COLOURS], patch=None)
MASK = np.ones((8, 8), np.uint8)
PREFIX = "pipeline.transforms."
AWAY = {"_target_": "albumentations.Affine", "translate_percent": [0.5, 0.5], "p": 1.0}
CROP = {"_target_": f"{PREFIX}steps.PadCrop", "rows": 8, "columns": 8, "padding": 0.5}
FLIP = {"_target_": "albumentations.HorizontalFlip", "p": 1.0}
SHIFT = {"_target_": f"{PREFIX}steps.PcaColor", "deviation": 0.4}


def one_of(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "albumentations.OneOf", "transforms": list(steps), "p": 1.0}


def build(*steps: dict[str, Any], ignore_label: int | None = None) -> Augmentation:
    config = {"augmentation": {"steps": list(steps)}, "data": {"ignore_label": ignore_label}}
    made = build_augmentation(config, STATISTICS)
    assert made is not None
    return made


def mask_values(augment: Augmentation) -> set[int]:
    """Return the values that masks of ones have after some draws."""
    drawn = [augment(COLOURS[0], MASK, seed=seed).mask for seed in range(10)]
    return {int(value) for mask in drawn if mask is not None for value in np.unique(mask)}


FILLS = [
    # steps                                ignore_label   values of masks of ones
    ([AWAY], 255, {1, 255}),
    ([AWAY], None, {0, 1}),
    ([CROP], 7, {1, 7}),
    ([CROP], None, {0, 1}),
    ([{**AWAY, "fill_mask": 3}], 255, {1, 3}),
    ([{**CROP, "fill_mask": 0}], 255, {0, 1}),
    ([FLIP], 255, {1}),
    ([one_of(AWAY, CROP)], 255, {1, 255}),
    ([one_of({**AWAY, "fill_mask": 3}, CROP)], 255, {1, 3, 255}),
    ([one_of(one_of(AWAY))], 255, {1, 255}),
]


@pytest.mark.parametrize(("steps", "ignore_label", "values"), FILLS)
def test_mask_pixels_from_outside_the_image_are_ignored_where_the_data_have_a_label_for_them(
    steps: list[dict[str, Any]], ignore_label: int | None, values: set[int]
) -> None:
    assert mask_values(build(*steps, ignore_label=ignore_label)) == values


@pytest.mark.parametrize("step", [SHIFT, one_of(SHIFT), one_of(one_of(SHIFT))])
def test_step_is_given_the_covariance_wherever_it_stands(step: dict[str, Any]) -> None:
    augment, own = build(step), PcaColor(STATISTICS.covariance, 0.4)
    (made,) = augment.steps
    while not isinstance(made, PcaColor):
        (made,) = made.transforms
    for each in (made, own):
        each.set_random_state(np.random.default_rng(0), None)
    np.testing.assert_array_equal(made.get_params()["offset"], own.get_params()["offset"])


def test_covariance_that_a_step_states_is_kept() -> None:
    augment = build({**SHIFT, "covariance": np.zeros((3, 3)).tolist()})
    np.testing.assert_array_equal(augment(COLOURS[0], seed=0).image, COLOURS[0])


def test_steps_are_applied_in_order() -> None:
    crop = {"_target_": "albumentations.Crop", "x_min": 0, "y_min": 0, "x_max": 4, "y_max": 8, "p": 1.0}
    np.testing.assert_array_equal(build(crop, FLIP)(COLOURS[0], seed=0).image, COLOURS[0][:, 3::-1])
    np.testing.assert_array_equal(build(FLIP, crop)(COLOURS[0], seed=0).image, COLOURS[0][:, :3:-1])


def test_no_step_is_no_augmentation() -> None:
    assert (
        build_augmentation({"augmentation": {"steps": []}, "data": {"ignore_label": None}}, STATISTICS)
        is None
    )


REFUSED = [
    # steps                                      where
    ([FLIP, {**FLIP, "p": 3.0}], r"augmentation\.steps\[1\]: albumentations\.HorizontalFlip"),
    ([{**SHIFT, "deviation": -1.0}], rf"augmentation\.steps\[0\]: {PREFIX}steps\.PcaColor"),
    (
        [one_of(FLIP, {**FLIP, "p": 3.0})],
        r"augmentation\.steps\[0\]\.transforms\[1\]: albumentations\.HorizontalFlip",
    ),
]


@pytest.mark.parametrize(("steps", "where"), REFUSED)
def test_refusal_of_a_step_names_its_place(steps: list[dict[str, Any]], where: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{where} refuses its settings: "):
        build(*steps)


def test_mixing_is_built_with_its_alpha() -> None:
    assert build_mixing(compose_sections([])) is None
    for recipe, kind, alpha in (("mixup", Mixup, 0.2), ("cutmix", CutMix, 1.0)):
        made = build_mixing(compose_sections([f"augmentation={recipe}"]))
        assert isinstance(made, kind)
        assert made.alpha == alpha


def test_mixing_that_cannot_work_is_told_in_its_own_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^augmentation\.mixing\.alpha must be above 0, got 0\.0; "):
        build_mixing(compose_sections(["augmentation=mixup", "augmentation.mixing.alpha=0.0"]))


@pytest.mark.parametrize(
    ("choice", "crops", "mirror"),
    [("whole", "centre", False), ("flips", "centre", True), ("ten_crop", "corners", True)],
)
def test_views_are_those_chosen(choice: str, crops: str, mirror: bool) -> None:
    views = views_of(compose_sections([f"views={choice}"]))
    assert (views.crops, views.mirror) == (crops, mirror)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    np.save(tmp_path / "train_images.npy", COLOURS)
    np.save(tmp_path / "train_targets.npy", np.arange(6, dtype=np.uint8))
    return Prepared(tmp_path)


def config_of(**augmentation: Any) -> dict[str, Any]:
    section = {"steps": [], "mixing": None, "copies": None, **augmentation}
    return {"augmentation": section, "data": {"ignore_label": None}, "input_shape": [3, 4, 6], "seed": 5}


def test_training_split_without_augmentation_shows_the_centre(prepared: Prepared) -> None:
    batch = make_train_split(config_of(), prepared, None, None)[0, [3, 1]]
    np.testing.assert_array_equal(batch["image"].permute(0, 2, 3, 1), COLOURS[[3, 1], 2:6, 1:7])
    assert batch.keys() == {"image", "target", "index"}


def test_training_split_draws_and_mixes_by_the_seed_of_the_run(prepared: Prepared) -> None:
    config = config_of(steps=[SHIFT], mixing={"_target_": f"{PREFIX}mixing.Mixup", "alpha": 1.0})
    augmentation = build_augmentation(config, STATISTICS)
    first, again = (make_train_split(config, prepared, augmentation, None) for _ in range(2))
    other = make_train_split(config | {"seed": 6}, prepared, augmentation, None)
    assert isinstance(first.draws, OnTheFly)
    assert first.draws.seed == 5
    assert torch.equal(first[0, [2, 4]]["image"], again[0, [2, 4]]["image"])
    assert not torch.equal(first[0, [2, 4]]["weight"], other[0, [2, 4]]["weight"])
