"""Assembling a declaration: what the pipeline gives to steps of augmentation, and what each section becomes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.draws import OnTheFly, write_draws
from pipeline.data.prepared import Prepared
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.tasks.classification.task import Classification
from pipeline.tasks.segmentation.task import Segmentation
from pipeline.training.assemble import (
    build_task,
    make_optimizer,
    make_scheduler,
    make_train_split,
)
from pipeline.training.construction import build_augmentation, build_mixing
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.mixing import CutMix, Mixup
from pipeline.transforms.statistics import measure
from pipeline.transforms.steps.pca_color import PcaColor
from tests.makers import data_section, declaration
from tests.refusals import refused

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
STATISTICS = measure([COLOURS], patch=None)
MASK = np.ones((8, 8), np.uint8)
PREFIX = "pipeline.transforms."
AWAY = {"_target_": "albumentations.Affine", "translate_percent": [0.5, 0.5], "p": 1.0}
CROP = {"_target_": f"{PREFIX}steps.pad_crop.PadCrop", "rows": 8, "columns": 8, "padding": 0.5}
FLIP = {"_target_": "albumentations.HorizontalFlip", "p": 1.0}
SHIFT = {"_target_": f"{PREFIX}steps.pca_color.PcaColor", "deviation": 0.4}


def one_of(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "albumentations.OneOf", "transforms": list(steps), "p": 1.0}


def declared(*, ignore_label: int | None = None, seed: int = 5, **augmentation: Any) -> Declaration:
    """Return a declaration of colour images of 8 x 8, of which the network sees 4 x 6."""
    return declaration(
        data_section("images", shape=[3, 8, 8], ignore_label=ignore_label),
        augmentation={"steps": [], "mixing": None, "copies": None, **augmentation},
        input_shape=[3, 4, 6],
        seed=seed,
    )


def build(*steps: dict[str, Any], ignore_label: int | None = None) -> Augmentation:
    made = build_augmentation(declared(steps=list(steps), ignore_label=ignore_label), STATISTICS)
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
    assert build_augmentation(declared(), STATISTICS) is None


REFUSED = [
    # steps                             where                                  what refuses
    ([FLIP, {**FLIP, "p": 3.0}], "augmentation.steps[1].p", "albumentations.HorizontalFlip"),
    ([{**SHIFT, "deviation": -1.0}], "augmentation.steps[0].deviation", f"{PREFIX}steps.pca_color.PcaColor"),
    ([one_of(FLIP, {**FLIP, "p": 3.0})], "augmentation.steps[0].transforms[1].p", "albumentations.HorizontalFlip"),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "where", "target"), REFUSED)
def test_refusal_of_a_step_names_its_place(steps: list[dict[str, Any]], where: str, target: str) -> None:
    with refused(where, hint="correct them") as caught:
        build(*steps)
    assert caught.value.problem.startswith(f"{target} refuses its settings: ")


def test_mixing_is_built_with_its_alpha() -> None:
    assert build_mixing(declared()) is None
    for recipe, kind, alpha in (("mixup", Mixup, 0.2), ("cutmix", CutMix, 1.0)):
        made = build_mixing(Declaration.parse(compose_sections([f"augmentation={recipe}"])))
        assert isinstance(made, kind)
        assert made.alpha == alpha


def test_mixing_that_cannot_work_is_told_in_its_own_sentence() -> None:
    sections = compose_sections(["augmentation=mixup", "augmentation.mixing.alpha=0.0"])
    with refused("augmentation.mixing.alpha", got=0.0, allowed="above 0"):
        build_mixing(Declaration.parse(sections))


# The training split.


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    np.save(tmp_path / "train_images.npy", COLOURS)
    np.save(tmp_path / "train_targets.npy", np.arange(6, dtype=np.uint8))
    return Prepared(tmp_path, load_kind("label"))


def test_training_split_without_augmentation_shows_the_centre(prepared: Prepared) -> None:
    batch = make_train_split(declared(), prepared, None, None)[0, [3, 1]]
    np.testing.assert_array_equal(batch["image"].permute(0, 2, 3, 1), COLOURS[[3, 1], 2:6, 1:7])
    assert batch.keys() == {"image", "target", "index"}


def test_training_split_draws_and_mixes_by_the_seed_of_the_run(prepared: Prepared) -> None:
    settings: Any = {"steps": [SHIFT], "mixing": {"_target_": f"{PREFIX}mixing.Mixup", "alpha": 1.0}}
    augmentation = build_augmentation(declared(**settings), STATISTICS)
    first, again, other = (
        make_train_split(declared(**settings, seed=seed), prepared, augmentation, None) for seed in (5, 5, 6)
    )
    assert isinstance(first.draws, OnTheFly)
    assert first.draws.seed == 5
    assert torch.equal(first[0, [2, 4]]["image"], again[0, [2, 4]]["image"])
    assert not torch.equal(first[0, [2, 4]]["weight"], other[0, [2, 4]]["weight"])


@pytest.mark.parametrize("is_ahead", [False, True], ids=["on the fly", "in advance"])
def test_masks_of_the_training_split_move_with_their_images(tmp_path: Path, is_ahead: bool) -> None:
    np.save(tmp_path / "train_images.npy", COLOURS)
    np.save(tmp_path / "train_targets.npy", COLOURS[..., 0])
    prepared, settings = Prepared(tmp_path, load_kind("mask")), declared(steps=[FLIP])
    augmentation, copies = build_augmentation(settings, STATISTICS), None
    assert augmentation is not None
    if is_ahead:
        copies = tmp_path / "copies"
        copies.mkdir()
        write_draws(OnTheFly(augmentation, "mask", seed=5), COLOURS, COLOURS[..., 0], copies, copies=1)
    batch = make_train_split(settings, prepared, augmentation, copies)[0, [4, 0]]
    np.testing.assert_array_equal(batch["image"].permute(0, 2, 3, 1), COLOURS[[4, 0], :, ::-1])
    assert torch.equal(batch["target"], batch["image"][:, 0])


def test_training_split_takes_the_copies_drawn_in_advance(prepared: Prepared, tmp_path: Path) -> None:
    settings, targets = declared(steps=[SHIFT]), np.arange(6, dtype=np.uint8)
    augmentation = build_augmentation(settings, STATISTICS)
    assert augmentation is not None
    write_draws(OnTheFly(augmentation, None, seed=5), COLOURS, targets, tmp_path, copies=2)
    fresh, ahead = (make_train_split(settings, prepared, augmentation, made) for made in (None, tmp_path))
    pairs = [(fresh[epoch % 2, [2, 4]], ahead[epoch, [2, 4]]) for epoch in range(4)]
    assert all(torch.equal(one["image"], other["image"]) for one, other in pairs)
    assert not torch.equal(pairs[0][1]["image"], pairs[1][1]["image"])


# Task, optimizer and schedule.


def test_task_is_given_the_facts_that_it_demands_and_no_others() -> None:
    facts = data_section("images", classes=["a", "b", "c"], background="a", ignore_label=7)
    task: Any = build_task(declaration(facts))
    assert isinstance(task, Classification)
    assert (task.classes, task.label_smoothing) == (["a", "b", "c"], 0.0)
    section = compose_sections(["task=segmentation"])["task"]
    task = build_task(declaration(facts, task=section))
    assert isinstance(task, Segmentation)
    assert (task.classes, task.background, task.ignore_label) == (["a", "b", "c"], "a", 7)


def test_optimizer_and_schedule_wait_for_what_they_work_on() -> None:
    settings = declaration(
        data_section("images"),
        optimizer={"_target_": "torch.optim.SGD", "lr": 0.5, "momentum": 0.25},
        scheduler={"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "gamma": 0.1},
    )
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = make_optimizer(settings)([weight])
    assert optimizer.param_groups[0]["params"] == [weight]
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.5, 0.25)
    schedule = make_scheduler(settings)(optimizer)
    weight.grad = torch.ones(2)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
