"""The MLflow store: one sqlite file in the project, opened safely by any number of processes.

Several processes that create the sqlite file at once corrupt it, so it is created, and opened each time, under a file
lock; afterwards writers wait for each other inside sqlite.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, RunStatus, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import DatabaseError

from pipeline.errors import ConfigError, redact
from pipeline.runs.lock import is_held, locked

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # silences messages about table creation

SQLITE = "sqlite:///"
FOLDER_TAG = "convoy.run_folder"
SAME_TAG = "convoy.same_as"  # the run that a link refers to


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or by default the sqlite file in the project's folder.

    User and password of a server are moved from the URI to the environment variables that MLflow has for them, so that
    none of its messages and files contain them.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return f"{SQLITE}{root.resolve() / 'mlflow.db'}"
    parts = urlsplit(uri) if uri.startswith(("http://", "https://")) else None
    if parts and parts.username and parts.password:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
        uri = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        os.environ["MLFLOW_TRACKING_URI"] = uri
    return uri


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
        self.uri = tracking_uri(root)
        if not self.uri.startswith(SQLITE):
            self.client = MlflowClient(self.uri)
            try:
                self.experiment_id = self._experiment(experiment, location=None)
            except MlflowException as reason:
                raise ConfigError(
                    "MLFLOW_TRACKING_URI",
                    f"the server does not answer ({str(reason).splitlines()[0]})",
                    got=redact(self.uri),
                    hint="correct it, or unset it to track in the project's folder",
                ) from None
            return
        database = Path(self.uri.removeprefix(SQLITE))
        _refuse_read_only(database)
        with locked(database.with_name(f"{database.name}.lock"), waits=True):
            try:
                self.client = MlflowClient(self.uri)
                location = (root / "mlartifacts").resolve().as_uri()
                self.experiment_id = self._experiment(experiment, location=location)
            except (MlflowException, DatabaseError) as reason:
                raise ConfigError(
                    str(database),
                    f"the MLflow database cannot be opened ({str(reason).splitlines()[0]})",
                    hint="repair it or move it away (a new one is created), or set MLFLOW_TRACKING_URI",
                ) from None

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

    def has_link(self, run_id: str, *, parent: str) -> bool:
        """Return whether a parent has a link to a run that is not its child."""
        wanted = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}' AND tags.`{SAME_TAG}` = '{run_id}'"
        return bool(self.client.search_runs([self.experiment_id], wanted, ViewType.ACTIVE_ONLY))

    def close_dead_runs(self) -> None:
        """Mark runs as KILLED whose process died without closing them, i.e. whose folder's lock is not held.

        On a server, runs without a local folder are skipped, since they may be running on another machine.
        """
        is_shared = not self.uri.startswith(SQLITE)
        for run in self.client.search_runs(
            [self.experiment_id], "attributes.status = 'RUNNING'", ViewType.ACTIVE_ONLY
        ):
            folder = run.data.tags.get(FOLDER_TAG)
            if folder is None or (is_shared and not (self.root / folder).exists()):
                continue
            if not is_held(self.root / folder / "lock"):
                killed = RunStatus.to_string(RunStatus.KILLED)
                self.client.set_terminated(run.info.run_id, status=killed)

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
        return str(self.client.create_experiment(name, artifact_location=place))


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
