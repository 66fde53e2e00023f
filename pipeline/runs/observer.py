"""How a training is observed: what is drawn and logged of it, and what may stop it early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = dict[str, float]


@dataclass(frozen=True)
class TrainingObserver:
    """How a training is observed.

    Args:
        log_artifacts: whether to draw pictures and log the model; trials of a search do neither.
        should_stop: called with the history after each epoch; returns whether to stop there. None to train to the end.
    """

    log_artifacts: bool = True
    should_stop: Callable[[Sequence[Row]], bool] | None = None

    def stops(self, history: Sequence[Row]) -> bool:
        """Return whether to stop after the latest epoch."""
        return self.should_stop is not None and self.should_stop(history)

    def has_stopped(self, history: Sequence[Row]) -> bool:
        """Return whether training should have stopped after this epoch or an earlier one."""
        return any(self.stops(history[:number]) for number in range(1, len(history) + 1))
