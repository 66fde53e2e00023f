"""A process that is killed while MLflow's database is made, at any moment: the next one has a whole database.

Processes are forked from this one, which has imported mlflow, so that a kill takes a few seconds.
`CAMPAIGN_DATABASE_KILLS` sets how many moments are tried (40 of each kind).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.tracking import database as making
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store

KILLS = int(os.environ.get("CAMPAIGN_DATABASE_KILLS", "40"))
FORK = multiprocessing.get_context("fork")


def make_ours(root: Path) -> None:
    Store(root, "digits")


def make_in_place(root: Path) -> None:
    """Make the database as `mlflow ui` does, and as earlier versions did."""
    MlflowClient(f"sqlite:///{root}/mlflow.db").search_experiments()


def log_a_run(root: Path) -> None:
    making.QUIET = 0.3  # seconds; nobody else is at work here
    run = TrackedRun.start(Store(root, "digits"), name="a", parent=None, tags={})
    run.log_history([{"epoch": 0.0, "train/loss": 1.0}])
    run.end("FINISHED")


def forked(work: Callable[[Path], None], root: Path) -> multiprocessing.process.BaseProcess:
    process = FORK.Process(target=work, args=(root,))
    process.start()
    return process


def check_kills(make: Callable[[Path], None], tmp_path: Path, kills: int) -> None:
    """Kill a process that makes a database at moments spread over the time that it takes."""
    (tmp_path / "whole").mkdir()
    start = time.monotonic()
    forked(make, tmp_path / "whole").join()
    duration = time.monotonic() - start
    for number in range(kills):
        root = tmp_path / str(number)
        root.mkdir()
        process = forked(make, root)
        process.join(duration * (number + 0.5) / kills)
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        after = forked(log_a_run, root)
        after.join(300)
        assert after.exitcode == 0, f"killed at {number} of {kills}: the next process failed"
        with closing(sqlite3.connect(root / "mlflow.db")) as connection:
            assert connection.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert sorted(path.name for path in root.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_ours, make_in_place])
def test_database_is_whole_after_a_kill(make: Callable[[Path], None], tmp_path: Path) -> None:
    check_kills(make, tmp_path, kills=1)


@pytest.mark.campaign
@pytest.mark.parametrize("make", [make_ours, make_in_place])
def test_database_is_whole_after_any_kill(make: Callable[[Path], None], tmp_path: Path) -> None:
    check_kills(make, tmp_path, kills=KILLS)
