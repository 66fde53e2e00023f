"""How a training is observed: what is shown of it, and what may stop it early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = dict[str, float]


@dataclass(frozen=True)
class Watch:
    """How a training is observed.

    Args:
        shows: whether to draw pictures and log the model; trials of a search do neither.
        stops: called with the history after each epoch; returns whether to stop there. None to train to the end.
    """

    shows: bool = True
    stops: Callable[[Sequence[Row]], bool] | None = None

    def ends(self, history: Sequence[Row]) -> bool:
        """Return whether to stop after the latest epoch."""
        return self.stops is not None and self.stops(history)

    def has_ended(self, history: Sequence[Row]) -> bool:
        """Return whether training should have stopped after this epoch or an earlier one."""
        return any(self.ends(history[:number]) for number in range(1, len(history) + 1))
