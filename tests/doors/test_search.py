"""The command of searches: one parent for all trials, taken up again however it ended."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.trials.improvement import DECLARED
from tests.doors.project import ROOT, TINY, Project, kill_group

SHORT = [
    *(each for each in TINY if "batch_size" not in each),
    "trainer.progress=false",
    "search=coarse",
    "search.trials=3",
]
SEARCH = ["-m", *SHORT, "trainer.max_epochs=1"]
LEDGER = Path("runs") / "searches" / "digits_lenet5-coarse"


def runs_of(root: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name("digits").experiment_id])


def trials_of(root: Path) -> list[dict[str, Any]]:
    files = sorted((root / LEDGER / "trials").glob("[0-9]*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def parent_and_children(root: Path) -> tuple[Run, list[Run]]:
    runs = runs_of(root)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return parent, [run for run in runs if run is not parent]


def outcomes(root: Path) -> list[tuple[Any, ...]]:
    return [(trial["index"], trial["point"], trial["state"], trial["values"]) for trial in trials_of(root)]


@pytest.mark.slow
def test_search_killed_in_a_trial_goes_on_under_its_parent_as_if_never_killed(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = Project(tmp_path_factory.mktemp("whole"))
    (whole.root / "data").symlink_to(ROOT / "data")
    said = whole.python("pipeline.train", *SEARCH)
    assert "best of 3 trials, " in said
    trials = trials_of(whole.root)
    assert [(trial["index"], trial["state"], trial["attempts"]) for trial in trials] == [
        (0, "finished", 1),
        (1, "finished", 1),
        (2, "finished", 1),
    ]
    parent, children = parent_and_children(whole.root)
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    (declared,) = [run for run in children if run.info.run_name == DECLARED]
    assert f"{declared.data.metrics['final/score']:.4f}" not in said, "it is no trial"
    assert f"accuracy on validation images: undecided: the best trial minus {DECLARED} is " in said
    children.remove(declared)
    scores = sorted(run.data.metrics["final/score"] for run in children)
    assert scores == sorted(value for trial in trials for value in trial["values"])
    assert parent.data.metrics["final/score"] == max(scores)
    assert {run.info.run_name for run in children} == {
        ", ".join(f"{key.split('.')[-1]}={value}" for key, value in trial["point"].items())
        for trial in trials
    }

    process = project.start(sys.executable, "-m", "pipeline.train", *SEARCH)
    project.wait_for("lr=", process)  # the first trial has ended
    second = project.root / LEDGER / "trials" / "00001.json"
    while not second.exists():
        assert process.poll() is None, (project.root / "out.txt").read_text()
    kill_group(process)
    assert [trial["state"] for trial in trials_of(project.root)] == ["finished", "running"]
    before = next(run for run in runs_of(project.root) if "mlflow.parentRunId" not in run.data.tags)
    project.python("pipeline.train", *SEARCH)
    assert outcomes(project.root) == outcomes(whole.root)
    assert [trial["attempts"] for trial in trials_of(project.root)] == [1, 2, 1]
    parent, children = parent_and_children(project.root)
    assert (parent.info.run_id, parent.info.status) == (before.info.run_id, "FINISHED")
    finished = [run for run in children if run.info.status == "FINISHED"]
    assert len(finished) == 4, "three trials, and the declared values"
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}


def test_search_without_m_is_refused(project: Project) -> None:
    said = project.python("pipeline.train", *SHORT, fails=True)
    assert (
        "error: search: draws many trials, got 'coarse'; add -m, or leave search out to train one run" in said
    )
    assert not (project.root / "runs").exists()


def test_plan_prints_the_trials_and_trains_nothing(project: Project) -> None:
    said = project.python("pipeline.train", *SEARCH, "plan=true")
    lines = [line.split() for line in said.splitlines()]
    head = next(place for place, line in enumerate(lines) if line[:1] == ["trial"])
    assert [line[0] for line in lines[head + 1 : head + 4]] == ["0", "1", "2"]
    assert not (project.root / "runs" / "searches").exists()
    assert not (project.root / "mlflow.db").exists()


def test_search_with_a_mistake_is_refused_before_its_first_trial(project: Project) -> None:
    said = project.python("pipeline.train", *SEARCH, "search.sampler=grid", fails=True)
    assert (
        "error: search.space.optimizer.lr: a grid cannot enumerate a continuous interval, got (0.0001, "
        in said
    )
    assert not (project.root / "mlflow.db").exists()


def test_metric_that_the_task_does_not_log_is_refused_before_its_first_trial(project: Project) -> None:
    said = project.python("pipeline.train", *SEARCH, "search.metric=scor", fails=True)
    assert "error: search.metric: unknown metric 'scor'; did you mean 'score'? allowed: " in said
    assert not (project.root / "mlflow.db").exists()


def test_earlier_search_that_is_not_there_is_refused(project: Project) -> None:
    said = project.python("pipeline.train", *SEARCH, "search=fine", fails=True)
    assert "error: from: unknown search of digits_lenet5 'coarse'; allowed: nothing" in said


@pytest.mark.slow
def test_search_by_its_stage_is_the_search_by_the_sweeper(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Both train the same trials; the stage writes the best as what `train` reads."""
    overrides = [*SEARCH[1:], "search.pruner=halving", "trainer.max_epochs=2", "search.parallel=2"]
    project.python("pipeline.compose", "declared.yaml", *overrides)
    project.python("pipeline.search", "declared.yaml", "artifacts/search/digits", *overrides)
    swept = Project(tmp_path_factory.mktemp("swept"))
    (swept.root / "data").symlink_to(ROOT / "data")
    swept.python("pipeline.train", "-m", *overrides)
    assert outcomes(swept.root) == outcomes(project.root)
    best = project.root / "artifacts" / "search" / "digits" / "best.yaml"
    for name in ("best.yaml", "best.json"):
        assert best.with_name(name).read_text() == (swept.root / LEDGER / "results" / name).read_text()
    # What the search trained and showed is not trained again.
    before = {path.name for path in (project.root / "runs").iterdir()}
    project.python("pipeline.train", str(best), "artifacts/train/digits")
    assert {path.name for path in (project.root / "runs").iterdir()} == before
    assert list((project.root / "artifacts" / "train" / "digits" / "pictures").glob("*.png"))
