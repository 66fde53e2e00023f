"""What goes wrong in training is said at once, and once as long as it lasts."""

from __future__ import annotations

import pytest

from pipeline.declaration.composition import compose
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.verification.task import Verification
from pipeline.training.epoch_report import EpochReport
from pipeline.training.selection import Selection

IDLE = {"train/loss": 0.0, "train/impostor_distance": 0.9, "train/genuine_distance": 0.1, "train/active": 0.0}


def test_alarm_is_said_in_the_first_epoch_of_those_that_raise_it(capsys: pytest.CaptureFixture[str]) -> None:
    task = Verification(
        loss="triplet", mining="all", margin=0.3, dimensions=4, threshold=None, pair_weights=None
    )
    declaration = compose(["trainer.progress=false"])
    report = EpochReport(declaration, Selection("auroc", "max", None), task, None, TrainingObserver())
    history: list[dict[str, float]] = []
    for epoch, active in enumerate((0.5, 0.0, 0.0, 0.2, 0.0)):
        history.append({**IDLE, "epoch": float(epoch), "train/active": active, "val/auroc": 0.5})
        report(history)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines] == [" epoch 2", " epoch 5"]
    assert all("no triplet has a loss above 0" in line for line in lines)
