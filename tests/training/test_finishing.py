"""What fails after training loses nothing: the results are there, and the same command completes what is missing."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tracking.run import TrackedRun
from pipeline.training import finishing
from pipeline.training.finishing import AGAIN, UnfinishedRunError
from pipeline.training.run import RunRequest, train
from tests.makers import data_section, declaration, write_class_folders
from tests.refusals import refused
from tests.training.fitting import Tracked, trained

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*Any type hint is inferred as AnyType.*"
)  # by MLflow, of its own

KEPT = {"weights.pt", "history.csv", "timing.csv", "metrics.json", "result.json", "last.ckpt"}


@pytest.fixture
def tiny(tmp_path: Path) -> Declaration:
    """Return a classification that trains in a second."""
    write_class_folders(tmp_path / "data.zip")
    overrides = ["model=linear", "trainer.max_epochs=1", "trainer.threads=1", "trainer.progress=false"]
    sections = compose_sections(overrides)
    small = {name: sections[name] for name in ("model", "trainer", "tracking")}
    return declaration(data_section(tmp_path / "data.zip"), **small)


def run(declared: Declaration, root: Path) -> RunFolder:
    return train(declared, RunRequest("test", "test", waits=False), RunContext(root))


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def full_database() -> MlflowException:
    """Return what MLflow raises where the disk of its database is full."""
    sqlite = sqlite3.OperationalError("database or disk is full")
    sqlite.sqlite_errorname = "SQLITE_FULL"
    raised = MlflowException(
        f"(sqlite3.OperationalError) {sqlite}\n[SQL: INSERT INTO logged_models VALUES (?)]"
    )
    raised.__context__ = OperationalError("INSERT INTO logged_models VALUES (?)", (), sqlite)
    raised.__context__.__cause__ = sqlite
    return raised


FAILURES = [
    # where it fails, with what, what is told
    (finishing, "draw_curves", RuntimeError("no font"),
     "the learning curves cannot be drawn (RuntimeError: no font)"),
    (TrackedRun, "log_files", OSError(errno.ENOSPC, "No space left on device"),
     "the pictures cannot be logged (No space left on device)"),
    (TrackedRun, "log_model", KeyError("model"), "the model cannot be logged (KeyError: 'model')"),
    (TrackedRun, "log_files", full_database(), "the pictures cannot be logged (mlflow.db: database or disk is full)"),
    (TrackedRun, "log_final", RuntimeError("the server\nis gone"),
     "the scores cannot be logged (RuntimeError: the server is gone)"),
    (TrackedRun, "end", RuntimeError("the server is gone"),
     "its MLflow run cannot be closed (RuntimeError: the server is gone)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "name", "error", "told"), FAILURES, ids=[failure[1] for failure in FAILURES]
)
def test_run_whose_end_fails_is_completed_without_training_an_epoch(
    place: Any, name: str, error: Exception, told: str, tiny: Declaration, tmp_path: Path
) -> None:
    if name != "log_model":  # it takes seconds
        tiny = tiny.replace(tracking={**tiny.sections["tracking"], "log_model": False})
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(place, name, raising(error))
        with pytest.raises(UnfinishedRunError) as caught:
            run(tiny, tmp_path)
    (path,) = (each.parent for each in (tmp_path / "runs").glob("*/run.json"))
    folder, problem = RunFolder(path), f"it is trained and its results are written, but {told}"
    assert caught.value.path == f"runs/{path.name}"
    assert caught.value.problem == problem
    assert caught.value.hint.endswith(AGAIN)
    assert (folder.state()["state"], folder.state()["failure"]) == ("trained", problem)
    assert {each.name for each in path.iterdir()} >= KEPT
    weights, history = (path / "weights.pt").read_bytes(), (path / "history.csv").read_bytes()

    with pytest.MonkeyPatch.context() as untrained:
        untrained.setattr(pl.Trainer, "fit", raising(AssertionError("it is trained again")))
        assert run(tiny, tmp_path).path == path
    assert folder.is_finished()
    folder.check()
    assert folder.state()["failure"] is None
    assert folder.has_artifacts()
    assert (path / "pictures" / "learning_curves.png").is_file()
    assert ((path / "weights.pt").read_bytes(), (path / "history.csv").read_bytes()) == (weights, history)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    logged = client.get_run(folder.state()["mlflow_run_id"])
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["final/accuracy"] == folder.metrics()["val/accuracy"]
    assert len(client.search_logged_models([logged.info.experiment_id])) == (name == "log_model")


def test_run_that_lost_its_state_is_found_again_in_mlflow(tiny: Declaration, tmp_path: Path) -> None:
    folder = run(tiny, tmp_path)
    before = folder.state()
    (folder.path / "run.json").unlink()
    run(tiny, tmp_path)
    assert folder.state()["mlflow_run_id"] == before["mlflow_run_id"]
    assert folder.is_finished()
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (logged,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert logged.info.status == "FINISHED"
    assert len(client.search_logged_models([logged.info.experiment_id])) == 1
    assert len(client.get_metric_history(logged.info.run_id, "val/loss")) == 1


def test_one_failure_does_not_keep_other_steps_from_being_taken(tmp_path: Path) -> None:
    taken: list[str] = []
    full = OSError(errno.ENOSPC, "No space left on device", "runs/a/b.png")
    folder = RunFolder(tmp_path / "runs" / "0123")
    text = (
        "runs/0123: it is trained and its results are written, but a fails (runs/a/b.png: No space left on "
        f"device) and b fails (KeyError: 1); free some disk space, then {AGAIN}"
    )
    steps = {"a fails": raising(full), "b fails": raising(KeyError(1)), "c fails": lambda: taken.append("c")}
    with refused("runs/0123", text=text):
        finishing.complete(folder, steps)
    assert taken == ["c"]


def test_outage_of_mlflow_does_not_end_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Tracked):
        """A server that takes no metrics while epochs are trained."""

        def log_history(self, history: list[dict[str, float]]) -> None:
            if len(history) < 4:
                raise ConnectionError("the server is gone")
            super().log_history(history)

    monkeypatch.setattr("pipeline.training.epoch_report.PAUSE", 0.0)
    tracked = Gone()
    assert trained(RunFolder(tmp_path / "run"), TrainingObserver(), tracked=tracked)
    assert tracked.told[-1] == 4, "they are logged at the end"
    assert (
        "warning: MLflow takes no metrics now (ConnectionError: the server is gone)"
        in capsys.readouterr().err
    )
