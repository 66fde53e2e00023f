"""Levels in training: frozen ones stand still, the others learn at their own rate."""

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, StepLR

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.layers.containers import Auxiliary
from pipeline.tasks.classification.task import Classification
from pipeline.training.assemble import build_model, group_parameters, modules_by_level
from pipeline.training.learner import Learner
from pipeline.transfer.levels import frozen_modules, parameter_groups
from pipeline.transfer.settings import check_transfer
from pipeline.transforms.statistics import Statistics
from tests.refusals import refused

TASK = Classification(classes=list("abcdefghij"), label_smoothing=0.0, class_weights="none")
GREY = Statistics(
    mean=[0.4], deviation=[0.2], covariance=[[0.04]], pixels=1, mean_image=np.full((32, 32, 1), 0.4)
)

# The settings.


def check_settings(
    level_weights: tuple[int, ...] = (9, 9, 9, 9), lr: float | None = 0.1, **changes: Any
) -> None:
    """Check what transfer does, by default nothing, in a network of four levels."""
    model = {"pretrained": None, "freeze": 0, "lr_factors": [], **changes}
    check_transfer(model, level_weights=level_weights, lr=lr)


LEVELS = "an integer from 0 to 3, the number of levels before the head"
PER_LEVEL = "[] or a list of 4 finite numbers of at least 0, one per level with the head last"


@pytest.mark.parametrize("freeze", [-1, 4, 1.0, True, "2", None])
def test_freeze_that_does_not_fit_the_levels_is_refused(freeze: Any) -> None:
    text = (
        f"model.freeze must be an integer from 0 to 3, the number of levels before the head, got {freeze!r}"
    )
    with refused("model.freeze", got=freeze, allowed=LEVELS, text=text):
        check_settings(freeze=freeze)


@pytest.mark.parametrize(
    "factors",
    [
        None, 0.1, "0.1", {}, (1, 1, 1, 1), [1], [1, 1, 1], [1] * 5, [1, 1, 1, -0.1], [1, 1, 1, "1"], [1, 1, 1, None],
        [1, 1, 1, True], [1, 1, 1, math.nan], [1, 1, 1, math.inf],
    ],
)  # fmt: skip
def test_factors_that_do_not_fit_the_levels_are_refused(factors: Any) -> None:
    text = f"model.lr_factors must be {PER_LEVEL}, got {factors!r}"
    with refused("model.lr_factors", got=factors, allowed=PER_LEVEL, text=text):
        check_settings(lr_factors=factors)


@pytest.mark.parametrize("freeze", [0, 3])
@pytest.mark.parametrize("factors", [[], [0, 0.1, 1, 2.5]])
def test_setting_that_fits_passes(freeze: int, factors: list[float]) -> None:
    check_settings(freeze=freeze, lr_factors=factors)


@pytest.mark.parametrize("key", ["pretrained", "freeze", "lr_factors"])
def test_setting_that_is_missing_is_told_with_its_key(key: str) -> None:
    model: dict[str, Any] = {"pretrained": None, "freeze": 0, "lr_factors": []}
    del model[key]
    text = f"model.{key}: the setting is missing; add it with its default from conf/config.yaml"
    with refused(f"model.{key}", hint="conf/config.yaml", text=text):
        check_transfer(model, level_weights=[9, 9], lr=0.1)


@pytest.mark.parametrize("pretrained", [3, True, ["a.pth"], {}])
def test_checkpoint_that_is_no_text_is_refused(pretrained: Any) -> None:
    text = f"model.pretrained must be a file or package:<name>, got {pretrained!r}"
    with refused("model.pretrained", got=pretrained, allowed="a file or package:<name>", text=text):
        check_settings(pretrained=pretrained)


@pytest.mark.parametrize(("freeze", "level_weights"), [(1, (9, 0, 0)), (2, (9, 9, 0)), (1, (0, 0))])
def test_freeze_that_leaves_nothing_to_learn_is_refused(freeze: int, level_weights: tuple[int, ...]) -> None:
    text = f"model.freeze: no weight is left to train with model.lr_factors=[], got {freeze}; freeze fewer levels"
    with refused("model.freeze", got=freeze, hint="freeze fewer levels", text=text):
        check_settings(level_weights, freeze=freeze)


@pytest.mark.parametrize(("freeze", "level_weights"), [(1, (9, 9, 0)), (2, (9, 9, 1)), (1, (9, 0, 1))])
def test_freeze_that_leaves_a_weight_passes(freeze: int, level_weights: tuple[int, ...]) -> None:
    check_settings(level_weights, freeze=freeze)


def test_factors_without_a_learning_rate_to_multiply_are_refused() -> None:
    text = "model.lr_factors: the factors multiply optimizer.lr, which is not set, got [1, 1, 1, 1]; set optimizer.lr"
    with refused("model.lr_factors", got=[1, 1, 1, 1], hint="set optimizer.lr", text=text):
        check_settings(lr_factors=[1, 1, 1, 1], lr=None)


def test_without_factors_no_learning_rate_needs_to_be_set() -> None:
    check_settings(freeze=1, lr=None)


# Frozen levels, in ResNet-20 on grey images of 8x8: levels at 8x8, 4x4 and 2x2, then the head.


def declared(*overrides: str) -> Declaration:
    return compose(["model=resnet20", "data.shape=[1,8,8]", *overrides])


def learner_of(declaration: Declaration, **settings: Any) -> tuple[Learner, list[list[nn.Module]]]:
    """Assemble a learner as a run does; return it with its levels."""
    model = build_model(declaration, GREY)
    levels = modules_by_level(declaration, model)

    def make_optimizer(parameters: Iterable[nn.Parameter]) -> Optimizer:
        return SGD(group_parameters(declaration, parameters, levels), lr=declaration.optimizer["lr"])

    learner = Learner(
        model,
        task=TASK,
        make_optimizer=make_optimizer,
        make_scheduler=settings.get("schedule", partial(ConstantLR, factor=1.0)),
        seed=0,
        on_epoch=lambda _: False,
        frozen=frozen_modules(levels, freeze=declaration.model["freeze"]),
    )
    return learner, levels


def batch_of(num_images: int = 4) -> dict[str, Tensor]:
    generator = torch.manual_seed(0)
    images = torch.randint(0, 256, (num_images, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return {"image": images, "target": torch.arange(num_images) % 10}


def step(learner: Learner, optimizer: Optimizer) -> None:
    """Take one training step as Lightning does: train, forward, backward, step."""
    learner.train()
    optimizer.zero_grad()
    learner.training_step(batch_of(), 0).backward()
    optimizer.step()


def file_state(level: Iterable[nn.Module]) -> list[Tensor]:
    """Return weights, biases, running statistics and counters of a level."""
    return [tensor.clone() for module in level for tensor in module.state_dict().values()]


@pytest.mark.parametrize("freeze", [0, 1, 2, 3])
def test_frozen_levels_stand_still_and_the_others_move(freeze: int) -> None:
    learner, levels = learner_of(declared(f"model.freeze={freeze}"))
    before = [file_state(level) for level in levels]
    step(learner, learner.configure_optimizers())
    after = [file_state(level) for level in levels]
    assert len(levels) == 4
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        moved = [not torch.equal(left, right) for left, right in zip(old, new, strict=True)]
        assert any(moved) == all(moved) == (index >= freeze), index
        parameters = [each for module in levels[index] for each in module.parameters()]
        assert {each.grad is not None for each in parameters} == {index >= freeze}


def test_frozen_norms_stay_in_evaluation_however_often_training_begins() -> None:
    learner, levels = learner_of(declared("model.freeze=2"))
    for mode in (True, False, True):
        assert learner.train(mode) is learner
        modes = [{part.training for module in level for part in module.modules()} for level in levels]
        assert modes == [{False}, {False}, {mode}, {mode}]
    assert learner.eval() is learner
    assert not learner.training


def test_frozen_weights_are_not_given_to_the_optimizer() -> None:
    learner, levels = learner_of(declared("model.freeze=1"))
    (group,) = learner.configure_optimizers().param_groups
    frozen = {parameter for module in levels[0] for parameter in module.parameters()}
    assert frozen
    assert {*group["params"]} == {*learner.parameters()} - frozen


# Learning rates: LR * factor, by hand.

LR = 0.1
FACTORS = [0.0, 0.25, 0.5, 2.0]


def factors_text(factors: list[float]) -> str:
    return f"model.lr_factors=[{','.join(map(str, factors))}]"


def test_each_level_steps_by_its_own_learning_rate() -> None:
    learner, levels = learner_of(declared(factors_text(FACTORS), f"optimizer.lr={LR}"))
    optimizer = learner.configure_optimizers()
    before = [[p.detach().clone() for module in level for p in module.parameters()] for level in levels]
    step(learner, optimizer)
    for factor, level, old in zip(FACTORS, levels, before, strict=True):
        parameters = [parameter for module in level for parameter in module.parameters()]
        for parameter, start in zip(parameters, old, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.detach(), start - LR * factor * parameter.grad)


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        (partial(StepLR, step_size=1, gamma=0.5), [1, 0.5, 0.25]),
        (partial(CosineAnnealingLR, T_max=2), [1, 0.5, 0]),
    ],
)
def test_schedule_scales_every_level_alike(schedule: Any, shares: list[float]) -> None:
    learner, _ = learner_of(declared(factors_text(FACTORS), f"optimizer.lr={LR}"), schedule=schedule)
    optimizer = learner.configure_optimizers()
    for share in shares:
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates[0] == pytest.approx(LR * share * 2.0)  # the head, whose rate is shown
        assert sorted(rates) == pytest.approx([LR * share * factor for factor in FACTORS])
        optimizer.step()
        assert learner._schedule is not None
        learner._schedule.step()


def layers(count: int) -> list[list[nn.Module]]:
    return [[nn.Linear(2, 2)] for _ in range(count)]


def parameters_of(levels: list[list[nn.Module]]) -> list[nn.Parameter]:
    return [parameter for level in levels for module in level for parameter in module.parameters()]


def test_groups_join_levels_of_one_factor_and_begin_with_the_head() -> None:
    levels = layers(4)
    groups = parameter_groups(parameters_of(levels), levels, factors=[0.5, 3, 0.5, 3.0], lr=0.2)
    assert [group["lr"] for group in groups] == pytest.approx([0.6, 0.1])
    assert {*groups[0]["params"]} == {*parameters_of([levels[1], levels[3]])}
    assert {*groups[1]["params"]} == {*parameters_of([levels[0], levels[2]])}


def test_without_factors_all_that_is_trained_learns_at_one_rate() -> None:
    levels = layers(3)
    frozen_modules(levels, freeze=1)
    (group,) = parameter_groups(parameters_of(levels), levels, factors=[], lr=0.2)
    assert group.keys() == {"params"}
    assert group["params"] == parameters_of(levels[1:])


def test_what_belongs_to_no_level_learns_as_fast_as_the_head() -> None:
    levels, apart = layers(2), nn.Linear(2, 2)
    everything = [*parameters_of(levels), *apart.parameters()]
    head, first = parameter_groups(everything, levels, factors=[0.1, 1], lr=1.0)
    assert {*head["params"]} == {*parameters_of(levels[1:]), *apart.parameters()}
    assert (head["lr"], first["lr"]) == (1.0, pytest.approx(0.1))


def test_frozen_level_needs_no_group() -> None:
    levels = layers(3)
    assert frozen_modules(levels, freeze=2) == [levels[0][0], levels[1][0]]
    (group,) = parameter_groups(parameters_of(levels), levels, factors=[0.1, 0.2, 1], lr=1.0)
    assert group == {"params": parameters_of(levels[2:]), "lr": 1.0}


def test_auxiliary_heads_belong_to_no_level() -> None:
    side = "{auxiliary: [flatten, {linear: outputs}]}"
    declaration = compose(
        [f"model.layers=[{{conv: 2}},{side},pool]", "model.head=[flatten,{linear: outputs}]"]
    )
    model = build_model(declaration, GREY)
    levels = modules_by_level(declaration, model)
    inside = {
        part for module in model.modules() if isinstance(module, Auxiliary) for part in module.modules()
    }
    assert inside
    assert not inside & {part for level in levels for module in level for part in module.modules()}
