"""Ranges of numbers: what is in them, how they are written, and which arguments have one."""

import inspect
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from math import inf, nan
from typing import Any

import pytest
import torch

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.ranges import OF_OPTIMIZERS, OF_SCHEDULERS, check_arguments, check_finite
from pipeline.errors import Range
from tests.refusals import refused

RANGES = [
    # range, as it is written, what is in it, what is not
    (Range(), "a finite number", [0, -1.5, 10**400], [nan, inf, -inf, True, "1", None, [1]]),
    (Range(least=1), "at least 1", [1, 1.5], [0.999, 0, nan, inf, True]),
    (Range(above=0), "above 0", [1e-300], [0, -1]),
    (Range(least=0, below=1), "at least 0 and below 1", [0, 0.999], [1, -0.1, nan]),
    (Range(above=0, most=1), "above 0 and at most 1", [1, 0.1], [0, 1.1]),
    (Range(least=0, most=2**32 - 1), "from 0 to 4294967295", [0, 2**32 - 1], [2**32, -1]),
    (Range(is_whole=True), "a whole number", [-3, 10**400], [0.5, 1.0, False]),
    (Range(least=1, is_whole=True), "a whole number of at least 1", [1], [0, 1.0]),
    (Range(above=0, is_whole=True), "a whole number above 0", [1], [0]),
    (Range(least=1, most=8, is_whole=True), "a whole number from 1 to 8", [1, 8], [9]),
]


@pytest.mark.parametrize(("span", "text", "inside", "outside"), RANGES, ids=lambda value: str(value)[:30])
def test_range_tells_what_is_in_it(span: Range, text: str, inside: list[Any], outside: list[Any]) -> None:
    assert str(span) == text
    assert [value for value in inside if value not in span] == []
    assert [value for value in outside if value in span] == []


def test_refusal_states_the_range_and_what_else_is_allowed() -> None:
    Range(above=0).check("a.b", 1)
    text = "a.b must be above 0 or null, got 0; raise it"
    with refused("a.b", got=0, allowed="above 0 or null", hint="raise it", text=text):
        Range(above=0).check("a.b", 0, besides="null", hint="raise it")


@cache
def defaults() -> dict[str, Any]:
    return compose_sections([])


NUMBERS = ("optimizer.lr", "trainer.gradient_clip", "task.label_smoothing", "search.keep", "data.split")


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("path", NUMBERS)
def test_number_that_is_not_finite_is_refused_wherever_it_stands(path: str, value: float) -> None:
    section, key = path.split(".")
    sections = deepcopy(defaults())
    check_finite(sections)
    for nested, where in ((value, path), ([0, value], f"{path}[1]"), ({"a": value}, f"{path}.a")):
        sections[section][key] = nested
        with refused(where, allowed="a finite number") as caught:
            check_finite(sections)
        assert caught.value.got is value


def with_argument(section: str, target: str, name: str, value: Any) -> dict[str, Any]:
    return {**defaults(), section: {"_target_": target, name: value}}


ARGUMENTS = [
    # section, class, argument, value, where it is refused
    ("optimizer", "torch.optim.SGD", "momentum", 1.0, "optimizer.momentum"),
    ("optimizer", "torch.optim.SGD", "dampening", 1.5, "optimizer.dampening"),
    ("optimizer", "torch.optim.Adam", "betas", [0.9, 1.0], "optimizer.betas[1]"),
    ("optimizer", "torch.optim.Adam", "betas", [-0.1, 0.9], "optimizer.betas[0]"),
    ("optimizer", "torch.optim.Adafactor", "eps", [None, -1.0], "optimizer.eps[1]"),
    ("optimizer", "torch.optim.LBFGS", "max_iter", 0, "optimizer.max_iter"),
    ("scheduler", "torch.optim.lr_scheduler.StepLR", "step_size", 0, "scheduler.step_size"),
    ("scheduler", "torch.optim.lr_scheduler.ExponentialLR", "gamma", -0.5, "scheduler.gamma"),
    ("scheduler", "torch.optim.lr_scheduler.MultiStepLR", "milestones", [3, -1], "scheduler.milestones[1]"),
    ("scheduler", "torch.optim.lr_scheduler.OneCycleLR", "max_lr", 0.0, "scheduler.max_lr"),
    ("scheduler", "torch.optim.lr_scheduler.LinearLR", "total_iters", 0, "scheduler.total_iters"),
    ("scheduler", "torch.optim.lr_scheduler.ReduceLROnPlateau", "patience", -1, "scheduler.patience"),
]


@pytest.mark.parametrize(("section", "target", "name", "value", "where"), ARGUMENTS)
def test_argument_of_torch_out_of_its_range_is_refused(
    section: str, target: str, name: str, value: Any, where: str
) -> None:
    with refused(where):
        check_arguments(with_argument(section, target, name, value))


def test_arguments_of_a_class_of_one_s_own_have_its_own_meaning() -> None:
    check_arguments(with_argument("optimizer", "mylab.Optimizer", "momentum", 2.0))


def numbers_of(parameters: Mapping[str, inspect.Parameter]) -> dict[str, list[float]]:
    """Return the numbers among the defaults of parameters."""
    found = {}
    for name, parameter in parameters.items():
        values = parameter.default if isinstance(parameter.default, tuple) else (parameter.default,)
        numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
        if numbers:
            found[name] = numbers
    return found


NAMED_OTHERWISE = {"last_epoch", "beta2_decay", "ns_coefficients"}  # -1, negative, of any sign


@pytest.mark.parametrize(
    ("module", "base", "table"),
    [
        (torch.optim, torch.optim.Optimizer, OF_OPTIMIZERS),
        (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler, OF_SCHEDULERS),
    ],
    ids=["optimizers", "schedulers"],
)
def test_every_number_of_torch_s_classes_has_a_range_that_its_default_is_in(
    module: Any, base: type, table: dict[str, Range]
) -> None:
    seen = set()
    for each in vars(module).values():
        if inspect.isclass(each) and issubclass(each, base):
            parameters = inspect.signature(each).parameters
            seen |= {*parameters}
            for name, numbers in numbers_of(parameters).items():
                assert name in table or name in NAMED_OTHERWISE, f"{each.__name__}.{name}"
                assert [n for n in numbers if name in table and n not in table[name]] == [], each.__name__
    assert {*table} - seen <= {"anneal_epochs", "swa_lr"}, "those of SWALR, which stands in another module"
