"""Contracts: one for each task there is, and true of the task."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.errors import ConfigError
from pipeline.tasks.demands import CONTRACTS, load_demands

CONF = Path(__file__).parents[2] / "conf" / "task"
SECTIONS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in CONF.glob("*.yaml")}


def test_every_task_has_its_contract_and_every_contract_its_task() -> None:
    assert {section["_target_"] for section in SECTIONS.values()} == set(CONTRACTS)


def test_a_task_module_holds_the_task_of_its_name() -> None:
    for target in CONTRACTS:
        assert target == f"pipeline.tasks.{target.split('.')[2]}.task.{target.split('.')[2].title()}"


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_task_takes_what_its_contract_promises(name: str) -> None:
    settings: dict[str, Any] = dict(SECTIONS[name])
    target = settings.pop("_target_")
    contract = load_demands(target)
    module, _, kind = target.rpartition(".")
    task = getattr(importlib.import_module(module), kind)(
        classes=["a", "b", "c"], background=None, ignore_label=None, **settings
    )
    shape = contract.output_shape(3, (1, 4, 5))
    assert shape == {"label": (3,), "mask": (3, 4, 5)}[contract.target]
    outputs = torch.randn(2, *shape, generator=torch.manual_seed(0))
    targets = torch.zeros(2, *shape[1:], dtype=torch.uint8)
    assert task.loss(outputs, targets).shape == ()
    evidence = task.evidence(outputs, targets)
    assert evidence.ndim == 2
    assert len(evidence) == 2
    assert task.score in task.scores(evidence.numpy())


@pytest.mark.parametrize(
    ("name", "background"), [("classification", None), ("segmentation", None), ("segmentation", 1)]
)
def test_contract_names_what_a_training_logs(name: str, background: int | None) -> None:
    """As the learner and `metrics.json` name it: loss and scores of validation."""
    settings: dict[str, Any] = dict(SECTIONS[name])
    target, classes = settings.pop("_target_"), ["a", "b_c", "d"]
    contract = load_demands(target)
    module, _, kind = target.rpartition(".")
    task = getattr(importlib.import_module(module), kind)(
        classes=classes, background=background, ignore_label=None, **settings
    )
    shape = contract.output_shape(3, (1, 4, 5))
    outputs = torch.randn(3, *shape, generator=torch.manual_seed(0))
    targets = (torch.arange(3)[(slice(None), *[None] * (len(shape) - 1))]).expand(3, *shape[1:])
    scores = task.scores(task.evidence(outputs, targets).numpy())
    logged = contract.logged(classes, background)
    assert sorted(logged) == sorted(["score", "val/loss", *(f"val/{score}" for score in scores)])
    assert contract.score == task.score


def test_unknown_task_is_refused_with_the_closest() -> None:
    wanted = (
        r"task\._target_: unknown task pipeline\.tasks\.segmentatoin\.task\..*; did you mean '.*segmentation"
    )
    with pytest.raises(ConfigError, match=wanted):
        load_demands("pipeline.tasks.segmentatoin.task.Segmentation")
