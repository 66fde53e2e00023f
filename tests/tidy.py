"""What MLflow's database of a project must look like when its commands have ended, whatever was killed before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

DOUBLE = "SELECT run_uuid, key, step, count(*) FROM metrics GROUP BY run_uuid, key, step HAVING count(*) > 1"
PENDING = "SELECT model_id FROM logged_models WHERE status = 1 AND lifecycle_stage = 'active'"


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a query of a project's database finds."""
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def statuses(root: Path) -> dict[str, list[str]]:
    """Return the statuses of the runs of each folder, of one that is linked to as well as of its links."""
    found: dict[str, list[str]] = {}
    query = (
        "SELECT tags.value, status FROM runs JOIN tags USING (run_uuid) WHERE tags.key = 'convoy.run_folder'"
    )
    for folder, status in rows(root, query):
        found.setdefault(folder, []).append(status)
    return {folder: sorted(each) for folder, each in found.items()}


def assert_tidy(root: Path) -> None:
    """Check that no run is open, no value is logged twice, no model is unfinished, and no draft is left."""
    assert rows(root, "SELECT name, run_uuid FROM runs WHERE status = 'RUNNING'") == []
    assert rows(root, DOUBLE) == []
    assert rows(root, PENDING) == []
    drafts = [path for path in root.glob("*") if path.name.startswith(".mlflow.db")]
    drafts += [path for path in root.glob("runs/**/.*.[0-9]*") if path.is_file()]
    assert drafts == []
    assert not list(root.glob("mlflow.db-*"))
