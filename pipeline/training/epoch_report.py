"""What is said and logged of each epoch of a training."""

from __future__ import annotations

import sys
import time

from pipeline.declaration.declaration import Declaration
from pipeline.errors import explain, warn
from pipeline.runs.observer import TrainingObserver
from pipeline.tracking.run import TrackedRun
from pipeline.training.learner import Row
from pipeline.training.remarks import Remarks
from pipeline.training.selection import Selection

PAUSE = 1.0  # minimum seconds between two writes to MLflow


def with_score(row: Row, selection: Selection) -> Row:
    """Return an epoch's row with the selecting score as `score`, as an observer sees it."""
    return {**row, "score": row[selection.column]}


class EpochReport:
    """Report the metrics of each epoch: to MLflow, and as a line on stderr, with remarks on what goes wrong.

    Short epochs are logged to MLflow in batches, since a write to its database can take as long as an epoch.

    Args:
        remarks: on the epochs, of which those before a resumed training are known.
    """

    def __init__(
        self,
        declaration: Declaration,
        selection: Selection,
        tracked: TrackedRun | None,
        observer: TrainingObserver,
        remarks: Remarks,
    ) -> None:
        self._epochs = declaration.trainer.max_epochs
        self._tracked = tracked
        self._observer = observer
        self._selection = selection
        self._scored: list[Row] = []
        self._logged_at = time.monotonic()
        self._remarks = remarks
        self._is_told = observer.log_artifacts
        self._prints = declaration.trainer.progress and observer.log_artifacts

    def __call__(self, history: list[Row]) -> bool:
        """Report the latest epoch; return whether the observer stops training."""
        now = time.monotonic()
        if self._tracked is not None and now - self._logged_at >= PAUSE:
            self._log(self._tracked, history)
            self._logged_at = now
        if self._prints:
            row = history[-1]
            numbers = [f"{key} {row[key]:.4f}" for key in ("train/loss", "val/loss", self._selection.column)]
            sys.stderr.write(f"epoch {int(row['epoch']) + 1}/{self._epochs}  {'  '.join(numbers)}\n")
        made = self._remarks.update(history)
        for remark in made if self._is_told else ():
            sys.stderr.write(f"{remark}\n")  # not `writelines`, which would cross the progress bar
        self._scored += [with_score(row, self._selection) for row in history[len(self._scored) :]]
        return self._observer.stops(self._scored)

    def _log(self, tracked: TrackedRun, history: list[Row]) -> None:
        """Log the epochs so far; a failure does not end training, since they are logged again at its end."""
        try:
            tracked.log_history(history)
        except Exception as reason:  # a server or a database may fail in any way
            warn(f"MLflow takes no metrics now ({explain(reason)}); they are logged after training")
