"""The command of sweeps: checked whole, nested under one parent, comparable."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.doors.project import TINY, Project, kill_group

SWEPT = ["model.activation=tanh,relu", "optimizer.lr=0.01,0.05"]


def runs_of(root: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    return client.search_runs([client.get_experiment_by_name("digits").experiment_id])


@pytest.mark.slow
def test_four_runs_hang_under_one_parent_and_a_second_sweep_trains_nothing(project: Project) -> None:
    arguments = ["-m", *TINY, "trainer.max_epochs=1", *SWEPT]
    project.python("pipeline.train", *arguments)
    runs = runs_of(project.root)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert len(children) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.info.run_name for run in children} == {
        f"activation={activation}, lr={rate}" for activation in ("tanh", "relu") for rate in ("0.01", "0.05")
    }
    best = max(children, key=lambda run: run.data.metrics["final/score"])
    assert parent.data.metrics["final/score"] == best.data.metrics["final/score"]
    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    table = client.download_artifacts(parent.info.run_id, "comparison.csv", str(project.root))
    with Path(table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == sorted(
        (run.data.metrics["final/score"] for run in children), reverse=True
    )
    assert {"model.activation", "optimizer.lr"} <= rows[0].keys()
    assert "seed" not in rows[0]

    said = project.python("pipeline.train", *arguments)
    assert "epoch 1/" not in said, "a finished run was trained again"
    assert len(runs_of(project.root)) == 10, "the second sweep shows the four runs under its own parent"


def test_sweep_over_two_mlflow_experiments_is_refused(project: Project) -> None:
    said = project.python("pipeline.train", "-m", *TINY, "tracking.experiment=one,two", fails=True)
    assert "error: tracking.experiment: the jobs of this sweep would log to one, two" in said
    assert not (project.root / "mlflow.db").exists()


def test_sweep_over_the_score_that_ranks_it_is_refused(project: Project) -> None:
    said = project.python("pipeline.train", "-m", *TINY, "trainer.select=accuracy,auroc", fails=True)
    assert "error: trainer.select: the jobs of this sweep would be ranked by different scores" in said
    assert not (project.root / "mlflow.db").exists()


@pytest.mark.slow
def test_sweep_that_was_killed_is_not_running_for_ever(project: Project) -> None:
    arguments = ["-m", "pipeline.train", "-m", *TINY, "trainer.max_epochs=500", "seed=0,1"]
    process = project.start(sys.executable, *arguments)
    project.wait_for("epoch 1/500", process)
    kill_group(process)
    project.python("pipeline.train", *TINY, "trainer.max_epochs=1", "seed=2")
    runs = runs_of(project.root)
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED", "KILLED"]


def test_sweep_with_one_bad_job_is_refused_before_its_first(project: Project) -> None:
    said = project.python("pipeline.train", "-m", *TINY, "model.activation=relu,rely", fails=True)
    assert (
        "error: model.activation: in rely of model lenet5, unknown activation 'rely'; did you mean 'relu'?"
        in said
    )
    assert not (project.root / "mlflow.db").exists()
