"""Checks before anything is read or recorded: what libraries refuse, and what this machine lacks."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.training.checks import check_augmentation, check_devices, check_optimizer, check_trainable
from tests.makers import data_section, declaration
from tests.refusals import refused

SCHEDULER = "torch.optim.lr_scheduler."
SGD = {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}


def declared(*overrides: str, **sections: Any) -> Declaration:
    """Return a declaration of images that do not exist."""
    trainer = compose_sections(["trainer.accelerator=cpu", *overrides])["trainer"]
    return declaration(data_section("nowhere.zip", shape=[1, 32, 32]), **{"trainer": trainer, **sections})


def scheduled(name: str, **arguments: Any) -> Declaration:
    return declared(optimizer=SGD, scheduler={"_target_": SCHEDULER + name, **arguments})


FITTING = [
    scheduled("CosineAnnealingLR", T_max=7),
    scheduled("ConstantLR", factor=1.0),
    scheduled("OneCycleLR", max_lr=0.1, total_steps=20),
    scheduled("ReduceLROnPlateau", patience=0),
    scheduled("CyclicLR", base_lr=0.0, max_lr=0.1),
    scheduled("CosineAnnealingWarmRestarts", T_0=3, T_mult=2),
    declared(optimizer={"_target_": "torch.optim.LBFGS"}),
]


@pytest.mark.parametrize("fitting", FITTING, ids=lambda each: each.scheduler["_target_"].split(".")[-1])
def test_optimizer_and_schedule_that_last_for_all_epochs_are_accepted(fitting: Declaration) -> None:
    check_optimizer(fitting)


REFUSED = [
    ("optimizer", {**SGD, "lr": -1.0}, "Invalid learning rate: -1.0"),
    ("optimizer", {**SGD, "momentun": 0.9}, "momentun"),
    ("optimizer", {**SGD, "nesterov": True, "dampening": 0.5}, "Nesterov momentum"),
    ("optimizer", {**SGD, "foreach": True, "fused": True}, "cannot be `True` together"),
    ("optimizer", {"_target_": "torch.optim.SparseAdam"}, "does not support dense gradients"),
    ("optimizer", {"_target_": "torch.optim.Muon"}, "only supports 2D parameters"),
    ("scheduler", {"_target_": SCHEDULER + "StepLR"}, "step_size"),
    ("scheduler", {"_target_": SCHEDULER + "StepLR", "step_size": 1, "last_epoch": 4}, "initial_lr"),
    ("scheduler", {"_target_": SCHEDULER + "CosineAnnealingLR", "T_max": 0}, "by zero"),
    ("scheduler", {"_target_": SCHEDULER + "OneCycleLR", "max_lr": 0.1, "total_steps": 19}, "total steps is 19"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "changed", "text"), REFUSED, ids=[each[2] for each in REFUSED])
def test_optimizer_or_schedule_that_refuses_its_settings_is_named(
    section: str, changed: dict[str, Any], text: str
) -> None:
    with refused(section, hint="correct them") as caught:
        check_optimizer(declared(**{"optimizer": SGD, section: changed}))
    assert caught.value.problem.startswith(f"{changed['_target_']} refuses its settings: ")
    assert text in caught.value.problem


@pytest.mark.parametrize(("gamma", "rate"), [(-0.5, "-0.05"), (1e200, "inf")])
def test_learning_rate_that_becomes_negative_or_infinite_is_refused(gamma: float, rate: str) -> None:
    with refused("scheduler", hint="finite and at least 0") as caught:
        check_optimizer(scheduled("ExponentialLR", gamma=gamma))
    assert f"to {rate}" in caught.value.problem


def test_optimizer_without_parameter_groups_is_refused_where_levels_differ_in_their_rate() -> None:
    section = compose_sections([])["model"]
    model = {**section, "lr_factors": [0.1, 1.0]}
    with refused("optimizer", hint="correct them"):
        check_optimizer(declared(model=model, optimizer={"_target_": "torch.optim.LBFGS", "lr": 0.1}))


STEP = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}


def augmented(*steps: dict[str, Any]) -> Declaration:
    """Return a declaration of steps, and of a network that takes the images of `data_section`."""
    model = compose_sections(["model=linear"])["model"]
    return declared(model=model, augmentation={"steps": list(steps), "mixing": None, "copies": None})


def test_step_is_built_and_applied_without_any_data() -> None:
    check_augmentation(augmented(STEP))
    with refused("augmentation.steps[1].p", got=3.0, hint="correct them"):
        check_augmentation(augmented(STEP, {**STEP, "p": 3.0}))
    wide = {"_target_": "albumentations.Crop", "x_min": 0, "y_min": 0, "x_max": 64, "y_max": 64, "p": 1.0}
    with refused("augmentation", hint="change that step"):
        check_augmentation(augmented(wide))
    small = {"_target_": "albumentations.CenterCrop", "height": 4, "width": 4, "p": 1.0}
    with refused("augmentation", hint="end with a step that restores it, or change input_shape"):
        check_augmentation(augmented(small))
    with refused("augmentation", hint="remove steps such as Normalize or ToFloat"):
        check_augmentation(augmented({"_target_": "albumentations.ToFloat", "p": 1.0}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_device_that_this_machine_lacks_is_refused() -> None:
    for name in ("gpu", "cuda"):
        with refused("trainer.accelerator", got=name, hint="use trainer.accelerator=auto"):
            check_devices(declared(f"trainer.accelerator={name}").trainer)
    with refused("trainer.precision", got="16-mixed", hint="use trainer.precision=auto"):
        check_devices(declared("trainer.precision=16-mixed").trainer)
    check_devices(declared("trainer.devices=4").trainer)


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_devices(declared("trainer.accelerator=gpu", "trainer.devices=2").trainer)
    allowed = "at most 2, the number of GPUs here, or auto"
    with refused("trainer.devices", got=3, allowed=allowed):
        check_devices(declared("trainer.accelerator=auto", "trainer.devices=3").trainer)


def test_schedule_that_does_not_exist_is_named() -> None:
    target = SCHEDULER + "Stairs"
    with refused("scheduler._target_", got=target, hint="correct the name"):
        check_optimizer(declared(optimizer=SGD, scheduler={"_target_": target}))


def test_what_lightning_refuses_is_found_without_training() -> None:
    check_trainable(declared())
    with refused("trainer", hint="correct them"):
        check_trainable(declared("trainer.strategy=fsdp"))


def test_checkpoint_is_read_before_data_are(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3}, path)
    model = {**compose_sections([])["model"], "pretrained": str(path)}
    with refused("model.pretrained", got=str(path), hint="save a model's state_dict()"):
        check_trainable(declared(model=model))


def test_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    check_trainable(augmented(STEP))
    assert torch.equal(torch.get_rng_state(), before)


def test_errors_of_libraries_are_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        check_optimizer(declared(optimizer={"_target_": "torch.optim.Muon"}))
    assert "\n" not in str(caught.value)
