"""A search whose trials are trained side by side by a launcher of Hydra's, here joblib's."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.doors.project import ROOT, TINY, Project

ALONE = [
    "-m",
    *(each for each in TINY if "batch_size" not in each and "threads" not in each),
    "trainer.threads=2",
    "trainer.progress=false",
    "search=coarse",
    "search.trials=3",
    "trainer.max_epochs=1",
]
TOGETHER = [*ALONE, "hydra/launcher=joblib", "search.parallel=2"]
TABLE = Path("runs") / "searches" / "digits_lenet5-coarse" / "results" / "trials.csv"


def parents_of_runs(root: Path) -> dict[str, str | None]:
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    return {run.info.run_id: run.data.tags.get("mlflow.parentRunId") for run in runs}


@pytest.mark.slow
def test_trials_side_by_side_are_those_one_after_the_other(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project.python("pipeline.train", *TOGETHER)
    alone = Project(tmp_path_factory.mktemp("alone"))
    (alone.root / "data").symlink_to(ROOT / "data")
    alone.python("pipeline.train", *ALONE)
    assert (project.root / TABLE).read_text() == (alone.root / TABLE).read_text()
    assert (project.root / TABLE).read_text().count("finished") == 3
    parents = parents_of_runs(project.root)
    (parent,) = [run for run, above in parents.items() if above is None]
    assert sorted(map(str, parents.values())) == sorted(["None", *[parent] * 4]), (
        "3 trials, and the declared values"
    )


def worker_of(root: Path) -> int | None:
    """Return the process that holds the lock of a run of which it has begun to train; None while there is none."""
    for state in (root / "runs").glob("*/run.json"):
        holder = re.match(r"process (\d+) on", state.with_name("lock").read_text(encoding="utf-8"))
        if holder is not None and '"running"' in state.read_text(encoding="utf-8"):
            return int(holder[1])
    return None


@pytest.mark.slow
def test_search_whose_worker_is_killed_ends_with_all_its_trials(project: Project) -> None:
    process = project.start(sys.executable, "-m", "pipeline.train", *TOGETHER, "search.trials=2")
    while (worker := worker_of(project.root)) is None:
        assert process.poll() is None, (project.root / "out.txt").read_text()
        time.sleep(0.01)
    assert worker != process.pid
    os.kill(worker, signal.SIGKILL)
    assert process.wait(timeout=300) == 0, (project.root / "out.txt").read_text()
    rows = (project.root / TABLE).read_text().splitlines()[1:]
    assert [row.split(",")[:2] for row in rows] == [[str(trial), "finished"] for trial in range(2)]
    parents = parents_of_runs(project.root)
    assert len([run for run, above in parents.items() if above is None]) == 1


def test_launcher_of_several_jobs_wants_to_know_how_many(project: Project) -> None:
    said = project.python("pipeline.train", *ALONE, "hydra/launcher=joblib", fails=True)
    reason = "error: search.parallel: JoblibLauncher runs trials side by side, got 1; say how many, such as "
    assert reason in said
    assert not (project.root / "mlflow.db").exists()
