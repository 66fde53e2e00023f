"""Activations that torch lacks."""

from __future__ import annotations

from torch import Tensor, nn


class Maxout(nn.Module):
    """Take the largest of every `pieces` neighbouring channels (Goodfellow et al. 2013, arXiv:1302.4389, eq. 1).

    Args:
        pieces: linear pieces per unit, at least 2.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C * pieces, ...) to (N, C, ...)."""
        return x.reshape(len(x), -1, self.pieces, *x.shape[2:]).amax(dim=2)

    def extra_repr(self) -> str:
        """Name the pieces in the module's printed form."""
        return f"pieces={self.pieces}"
