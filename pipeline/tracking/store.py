"""The MLflow store: one sqlite file in the project, opened safely by any number of processes.

Several processes that create the sqlite file at once corrupt it, so it is created, and opened each time, under a file
lock; afterwards writers wait for each other inside sqlite.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import DatabaseError

from pipeline.errors import ConfigError, first_line, redact
from pipeline.runs.lock import locked
from pipeline.tracking.database import make_if_needed
from pipeline.tracking.relocation import ARTIFACTS, relocate
from pipeline.tracking.uri import FOLDER_TAG, database_of, tracking_uri

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Silences messages about the creation of tables, and tracebacks of errors that MLflow raises as well.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

NOTE_TAG = (
    "mlflow.note.content"  # the description of a run or an experiment, which MLflow's UI shows as Markdown
)
# A saved view of the page of runs, as the UI of MLflow 3 writes it: its columns are the scores.
SCORES_VIEW = {"selectedColumns": ["metrics.`final/score`", "metrics.`final/baseline`"]}
OF_EXPERIMENT = {
    NOTE_TAG: "Runs of Convoy. `final/score` is the validation score that selected the epoch, under its own name "
    "`final/accuracy` or the like; `test/...` are scores on the test split. Sweeps and searches are parents of their "
    "runs, and their description compares them. The saved view *Scores* has the scores as columns. `dvc repro` writes "
    "the report, `artifacts/report/report.html`.",
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "final/score",
    "mlflow.sharedViewState.scores": json.dumps(
        {"name": "Scores", "createdAt": 0, "state": json.dumps(SCORES_VIEW)}
    ),
}
COMPARED_TAG = "convoy.compared"  # which runs a comparison is of, and by which score
CHECKED_TAG = "convoy.checked"  # the digest of the declaration that was checked
SAME_TAG = "convoy.same_as"  # the run that a link refers to


class Store:
    """An opened store with one experiment.

    Args:
        root: the project's folder.
        experiment: name of the MLflow experiment; created if it does not exist.

    Raises:
        ConfigError: the database cannot be opened or written, or the experiment was deleted.
    """

    def __init__(self, root: Path, experiment: str) -> None:
        self.root = root
        self.experiment = experiment
        self.uri = tracking_uri(root)
        self.database = database_of(self.uri)
        if self.database is None:
            self.client = MlflowClient(self.uri)
            try:
                self.experiment_id = self._experiment(experiment, location=None)
            except MlflowException as reason:
                raise ConfigError(
                    "MLFLOW_TRACKING_URI",
                    f"the server does not answer ({first_line(reason)})",
                    got=redact(self.uri),
                    hint="correct it, or unset it to track in the project's folder",
                ) from None
            return
        _refuse_read_only(self.database)
        with self.alone():
            try:
                make_if_needed(self.database)
                if self.database.parent.resolve() == root.resolve():
                    relocate(self.database)
                self.client = MlflowClient(self.uri)
                location = (root / ARTIFACTS).resolve().as_uri()
                self.experiment_id = self._experiment(experiment, location=location)
            except (MlflowException, DatabaseError, sqlite3.DatabaseError) as reason:
                raise ConfigError(
                    str(self.database),
                    f"the MLflow database cannot be opened ({first_line(reason)})",
                    hint="repair it or move it away (a new one is created), or set MLFLOW_TRACKING_URI",
                ) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the database, for what MLflow first looks up and then inserts; servers have their own."""
        if self.database is None:
            yield
            return
        with locked(self.database.with_name(f"{self.database.name}.lock"), waits=True):
            yield

    def has_run(self, run_id: str) -> bool:
        """Return whether a run exists and is not deleted."""
        try:
            stage = self.client.get_run(run_id).info.lifecycle_stage
        except MlflowException:
            return False
        return bool(stage == LifecycleStage.ACTIVE)

    def parent_of(self, run_id: str) -> str | None:
        """Return the parent of a run; None if it has none or does not exist."""
        if not self.has_run(run_id):
            return None
        parent: str | None = self.client.get_run(run_id).data.tags.get(MLFLOW_PARENT_RUN_ID)
        return parent

    def link_to(self, run_id: str, *, parent: str) -> Run | None:
        """Return the link of a parent to a run that is not its child; None if there is none."""
        wanted = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}' AND tags.`{SAME_TAG}` = '{run_id}'"
        return next(iter(self.client.search_runs([self.experiment_id], wanted, ViewType.ACTIVE_ONLY)), None)

    def started_run(self, folder: str) -> str | None:
        """Return the run that a killed process had started for a folder, before it could note the run's id there.

        The caller must hold the folder's lock, so that the run cannot be alive. None for a server, where the run may be
        alive on another machine.
        """
        if self.database is None:
            return None
        running = self.client.search_runs([self.experiment_id], "attributes.status = 'RUNNING'")
        own = (run for run in running if run.data.tags.get(FOLDER_TAG) == folder)
        return next((run.info.run_id for run in own if SAME_TAG not in run.data.tags), None)

    def trained_run(self, folder: str) -> str | None:
        """Return the newest run that was logged for the folder of a training, which has lost its `run.json`.

        None for a server, to which another machine may have logged it.

        Args:
            folder: `runs/<fingerprint>`.
        """
        if self.database is None:
            return None
        found = self.client.search_runs([self.experiment_id], f"tags.`{FOLDER_TAG}` = '{folder}'")
        return next((run.info.run_id for run in found if SAME_TAG not in run.data.tags), None)

    def tagged_run(self, tag: str, value: str) -> str | None:
        """Return the newest run that has a tag with this value; None if there is none."""
        found = self.client.search_runs([self.experiment_id], f"tags.`{tag}` = '{value}'")
        return next((run.info.run_id for run in found), None)

    def _experiment(self, name: str, *, location: str | None) -> str:
        found: Experiment | None = self.client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == LifecycleStage.DELETED:
            raise ConfigError(
                "tracking.experiment",
                "the experiment was deleted",
                got=name,
                hint="choose another name, or restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`",
            )
        if found is not None:
            return str(found.experiment_id)
        place = None if location is None else f"{location}/{quote(name)}"
        return str(self.client.create_experiment(name, artifact_location=place, tags=OF_EXPERIMENT))


def _refuse_read_only(database: Path) -> None:
    if not database.exists():
        return
    writable = database.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    if not writable or not os.access(database, os.W_OK):
        raise ConfigError(
            str(database),
            "the MLflow database is read-only",
            hint=f"chmod u+w {database}, or set MLFLOW_TRACKING_URI",
        )
