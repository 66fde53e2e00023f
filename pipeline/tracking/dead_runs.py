"""Runs whose process died: they are found without importing mlflow, which takes seconds, and closed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runs.lock import Held, is_held, locked
from pipeline.tracking.uri import FOLDER_TAG, connect, tracking_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from pipeline.tracking.store import Store

RUNNING = """
    SELECT run_uuid, tags.value FROM runs JOIN tags USING (run_uuid)
    WHERE status = 'RUNNING' AND lifecycle_stage = 'active' AND tags.key = ?
"""


def close_dead_runs(root: Path, experiment: str) -> None:
    """Mark runs as KILLED whose process died without closing them, and their unfinished models as FAILED.

    A run is dead if the lock of its folder is not held. In a database, the runs of all experiments are looked at; on a
    server, those of one experiment that have a folder here, since others may be running on another machine.
    """
    database = tracking_database(root)
    if database is not None and not _of_database(database, root):
        return
    from pipeline.tracking.store import Store

    store = Store(root, experiment)
    for run_id, folder in _of_server(store, root) if database is None else _of_database(database, root):
        _close(store.client, run_id, folder / "lock")


def _of_database(database: Path, root: Path) -> list[tuple[str, Path]]:
    """Return the id and the folder of each dead run in a database, which is read directly."""
    if not database.exists():
        return []
    try:
        with closing(connect(database)) as connection:
            running = connection.execute(RUNNING, (FOLDER_TAG,)).fetchall()
    except sqlite3.DatabaseError:  # unfinished or damaged, which the next run that is logged reports
        return []
    return [(run_id, root / name) for run_id, name in running if not is_held(root / name / "lock")]


def _of_server(store: Store, root: Path) -> list[tuple[str, Path]]:
    """Return the id and the folder of each run on a server that may be dead."""
    running = store.client.search_runs([store.experiment_id], "attributes.status = 'RUNNING'")
    folders = [(run.info.run_id, run.data.tags.get(FOLDER_TAG)) for run in running]
    return [(run_id, root / name) for run_id, name in folders if name is not None and (root / name).exists()]


def _close(client: MlflowClient, run_id: str, lock: Path) -> None:
    """Close a run, unless it is alive or was closed in the meantime."""
    if not lock.exists():
        _mark(client, run_id)
        return
    try:
        with locked(lock, waits=False):
            _mark(client, run_id)
    except Held:
        return


def _mark(client: MlflowClient, run_id: str) -> None:
    run = client.get_run(run_id)
    if run.info.status != "RUNNING":
        return
    for model in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'"):
        if str(model.status) == "PENDING":
            client.finalize_logged_model(model.model_id, "FAILED")
    client.set_terminated(run_id, status="KILLED")
