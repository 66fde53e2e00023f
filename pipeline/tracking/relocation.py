"""Places of artifacts in the MLflow database of a project that was moved or copied: they follow the project.

MLflow stores absolute places only, each time when an experiment, a run or a model is created.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.tracking.uri import connect

ARTIFACTS = "mlartifacts"  # folder of the project
PLACE = re.compile(rf"(file://.*/{ARTIFACTS})/([^/]+)")  # that Convoy gives an experiment
# Tables, their keys, and their columns with places below that of an experiment.
DERIVED = (
    ("runs", ("run_uuid",), "artifact_uri"),
    ("logged_models", ("model_id",), "artifact_location"),
    ("model_versions", ("name", "version"), "source"),
    ("model_versions", ("name", "version"), "storage_location"),
)


def relocate(database: Path) -> None:
    """Correct the places of artifacts in the database of a project; the caller must hold its lock.

    Experiments whose artifacts Convoy keeps move to `mlartifacts` beside the database. Their runs and models do as
    well, except those whose files exist only in the old place.
    """
    base = (database.parent / ARTIFACTS).resolve().as_uri()
    with closing(connect(database)) as connection, connection:
        found = connection.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
        for experiment, place in found:
            parts = PLACE.fullmatch(place or "")
            if parts is None or parts[1] == base:
                continue
            new = f"{base}/{parts[2]}"
            for update, values in _updates(connection, place, new):
                connection.execute(update, values)
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment)
            )


def _updates(connection: sqlite3.Connection, old: str, new: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield an update, with its values, for each place below that of an experiment."""
    for table, keys, column in DERIVED:
        rows = connection.execute(
            f"SELECT {', '.join(keys)}, {column} FROM {table} WHERE substr({column}, 1, ?) = ?",
            (len(old) + 1, f"{old}/"),
        ).fetchall()
        condition = " AND ".join(f"{key} = ?" for key in keys)
        for *values, place in rows:
            moved = new + place[len(old) :]
            if _path(moved).exists() or not _path(place).exists():
                yield f"UPDATE {table} SET {column} = ? WHERE {condition}", (moved, *values)


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))
