"""Observation of training: what is plotted and logged, and when to stop early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = dict[str, float]


@dataclass(frozen=True)
class TrainingObserver:
    """What to log during training, and when to stop it early.

    Args:
        log_artifacts: whether to draw figures and log the model; trials of a search do neither.
        should_stop: called with the history after each epoch; returns whether to stop. None to never stop early.
    """

    log_artifacts: bool = True
    should_stop: Callable[[Sequence[Row]], bool] | None = None

    def stops(self, history: Sequence[Row]) -> bool:
        """Return whether to stop after the latest epoch."""
        return self.should_stop is not None and self.should_stop(history)

    def has_stopped(self, history: Sequence[Row]) -> bool:
        """Return whether training should have stopped after this epoch or an earlier one."""
        return any(self.stops(history[:number]) for number in range(1, len(history) + 1))
