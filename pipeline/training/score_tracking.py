"""Scores of an evaluation in the MLflow run of the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.declaration.declaration import Declaration
from pipeline.errors import DamagedFileError, warn
from pipeline.runs.folder import RunFolder
from pipeline.tasks.intervals import Interval
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store


def track_scores(
    run: RunFolder,
    declaration: Declaration,
    scores: Mapping[str, Interval],
    out: Path,
    *,
    root: Path,
    place: str,
) -> None:
    """Add scores and figures to the MLflow run of the training, if it still exists in this store.

    Args:
        out: the folder of the evaluation.
        place: prefix of the names of its metrics, and folder of its files.
    """
    trained = RunFolder(root / "runs" / run.result()["fingerprint"])
    try:
        run_id = trained.state().get("mlflow_run_id")
    except DamagedFileError as damage:
        warn(f"{damage.file} {damage.problem}; the scores are not logged to MLflow, train the run again")
        return
    if run_id is None:
        return
    store = Store(root, declaration.tracking.experiment)
    if not store.has_run(run_id):
        return
    tracked = TrackedRun(store, run_id)
    tracked.log_scores(
        {
            f"{place}/{name}{'' if part == 'value' else f'_{part}'}": value
            for name, parts in scores.items()
            for part, value in parts.items()
            if part == "value" or not np.isnan(value)
        }
    )
    tracked.log_files(out / "pictures", place)
    tracked.log_files(out / "cases.csv", place)
    tracked.log_files(out / "groups.csv", place)
    tracked.log_files(out / "remarks.txt", place)
