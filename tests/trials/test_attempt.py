"""A training of a search: how it is asked for, what its outcome is, and what its run is called."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.declaration import Declaration
from pipeline.files import write_text
from pipeline.runs.context import RUN, RunContext
from pipeline.runs.folder import RunFolder
from pipeline.sweeps.ledger import Ledger, Trial
from pipeline.sweeps.settings import SearchSettings
from pipeline.training.run import RunRequest
from pipeline.trials import attempt as module
from pipeline.trials.attempt import attempt
from pipeline.trials.search import Outcome
from tests.launches import DEFAULTS, judged

EPOCHS = 5
SEARCH = "runs/searches/digits-planted"
JOB = ["experiment=digits_lenet5", "search=coarse", "optimizer.lr=0.1", "search.trial=1"]


class Training:
    """Train by a curve of accuracy until the observer stops it, as `train` does; remember what it was asked for.

    Args:
        curve: accuracy after each epoch.
        is_found: whether the run was trained to its end before, so that there is nothing to observe.
    """

    def __init__(self, curve: list[float], *, is_found: bool = False) -> None:
        self.requests: list[RunRequest] = []
        self.contexts: list[RunContext] = []
        self._rows = [
            {"epoch": float(n), "val/accuracy": each, "val/loss": 1 - each, "seconds": 1.0, "score": each}
            for n, each in enumerate(curve)
        ]
        self._is_found = is_found

    def __call__(self, declaration: Declaration, request: RunRequest, context: RunContext) -> RunFolder:
        self.requests.append(request)
        self.contexts.append(context)
        folder = RunFolder(context.root / "runs" / "abc")
        folder.update(state="running")
        if not self._is_found:
            for number in range(1, len(self._rows) + 1):
                if request.observer.stops(self._rows[:number]):
                    return folder
        folder.write_history([{key: row[key] for key in row if key != "score"} for row in self._rows])
        best = max(row["val/accuracy"] for row in self._rows)
        metrics = {"score": best, "epoch": 0.0, "val/accuracy": best, "val/loss": 1 - best}
        write_text(folder.path / "metrics.json", json.dumps(metrics))
        write_text(folder.path / "result.json", json.dumps({"selection": {"score": "accuracy"}}))
        folder.update(state="finished")
        return folder


def attempted(root: Path, monkeypatch: pytest.MonkeyPatch, training: Training, **changed: Any) -> Outcome:
    """Attempt trial 1 of a search whose trial 0 stayed at an accuracy of 0.5 (a loss of 0.5)."""
    monkeypatch.setattr(module, "train", training)
    settings = SearchSettings(**DEFAULTS | changed)
    ledger = Ledger(root / SEARCH)
    ledger.open({})
    ledger.settle(Trial(0, {}), "finished", values=[0.5], curves=[[0.5] * EPOCHS])
    context = RunContext(root, "1f0", SEARCH, ("optimizer.lr",))
    return attempt(judged(settings, trial=1, epochs=EPOCHS), JOB, context, entry_point="dvc")


def test_outcome_is_the_score_of_the_kept_epoch_and_the_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training([0.1, 0.2, 0.9, 0.3, 0.4])
    outcome = attempted(tmp_path, monkeypatch, training)
    assert outcome == Outcome(0.9, curve=(0.1, 0.2, 0.9, 0.3, 0.4), loss=1 - 0.9)
    ((request,), (context,)) = training.requests, training.contexts
    assert (request.entry_point, request.name, request.waits) == ("dvc", "lr=0.1", True)
    assert not request.observer.log_artifacts
    assert context == RunContext(tmp_path, "1f0", SEARCH, ("optimizer.lr",))


def test_outcome_is_the_metric_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training([0.25, 0.75])
    outcome = attempted(tmp_path, monkeypatch, training, metric="val/loss", direction="minimize")
    assert outcome == Outcome(0.25, curve=(0.75, 0.25), loss=0.25)


@pytest.mark.parametrize("is_found", [False, True], ids=["trained here", "trained before"])
def test_training_that_falls_behind_has_the_same_outcome_whether_it_was_stopped_or_found(
    is_found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halving by 2 looks after 1, 2 and 4 epochs; the trial is the better of two until the second look."""
    training = Training([0.6, 0.4, 0.9, 0.9, 0.9], is_found=is_found)
    outcome = attempted(tmp_path, monkeypatch, training, pruner="halving", factor=2)
    reason = "stopped after 2 of 5 epochs by halving"
    assert outcome == Outcome(0.4, reason, (0.6, 0.4), is_pruned=True)
    assert RunFolder(tmp_path / "runs" / "abc").is_finished() == is_found


def test_process_beside_the_leading_one_has_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv(RUN, "runs/abc")
    outcome = attempted(tmp_path, monkeypatch, Training([0.1] * EPOCHS))
    assert outcome.value is not None
    assert isnan(outcome.value)
