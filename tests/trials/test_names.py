"""Names of runs: what differs, in few words."""

from pathlib import Path

import pytest

from pipeline.runs.context import RunContext
from pipeline.sweeps.ledger import Trial
from pipeline.trials.names import LONGEST_NAME, name_point, name_trial, run_name

ALONE = RunContext(Path("project"))
CHILD = RunContext(
    Path("project"), parent="1f0", swept=("optimizer.lr", "augmentation", "model@model.encoder", "seed")
)


@pytest.mark.parametrize(
    ("overrides", "context", "name"),
    [
        (["experiment=x"], ALONE, "digits"),
        (["experiment=x", "optimizer.lr=0.1", "seed=1", "tracking.log_model=false"], ALONE, "digits: lr=0.1, seed 1"),
        (["experiment=x", "optimizer.lr=0.1", "search.trial=1"], CHILD, "lr=0.1"),
        (["augmentation=mirror", "optimizer.momentum=0.5"], CHILD, "mirror"),
        (["augmentation=none", "+seed=3"], CHILD, "augmentation none, seed 3"),
        (["+optimizer.lr=0.1", "model@model.encoder=resnet18"], CHILD, "lr=0.1, resnet18"),
        (["trainer.max_epochs=5"], CHILD, "digits"),
    ],
)  # fmt: skip
def test_run_is_named_by_what_differs(overrides: list[str], context: RunContext, name: str) -> None:
    assert run_name("digits", overrides, context) == name


def test_keys_that_end_alike_are_named_whole() -> None:
    overrides = ["augmentation.steps.0.p=0.1", "augmentation.steps.1.p=0.2", "optimizer.lr=1"]
    name = "augmentation.steps.0.p=0.1, augmentation.steps.1.p=0.2, lr=1"
    assert name_point(overrides, [each.split("=")[0] for each in overrides]) == name


def test_name_is_a_short_line() -> None:
    name = name_point(["name=a\nb\x1b[2J" + "c" * 200], ["name"])
    assert name.startswith("name=a b [2Jccc")
    assert len(name) == LONGEST_NAME
    assert name.endswith("…")


def test_trial_is_named_by_its_point() -> None:
    trial = Trial(3, {"optimizer": "adamw", "optimizer.lr": 0.5, "model.pretrained": None})
    assert name_trial(trial) == "adamw, lr=0.5, pretrained=null"
