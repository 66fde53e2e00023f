"""How a training is looked at: what is shown of it, and what may stop it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Row = dict[str, float]


@dataclass(frozen=True)
class Watch:
    """How a training is looked at.

    Args:
        shows: whether pictures are drawn and the model is logged; trials of a search do without.
        stops: told the history after each epoch, says whether to stop there; None to train to the end.
    """

    shows: bool = True
    stops: Callable[[Sequence[Row]], bool] | None = None

    def ends(self, history: Sequence[Row]) -> bool:
        """Tell whether a training ends after its latest epoch."""
        return self.stops is not None and self.stops(history)

    def has_ended(self, history: Sequence[Row]) -> bool:
        """Tell whether a training should have been stopped by now."""
        return any(self.ends(history[:number]) for number in range(1, len(history) + 1))
