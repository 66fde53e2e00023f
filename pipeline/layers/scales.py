"""A learnt factor per channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """Multiply each channel by a learnt number (LayerScale, Touvron et al. 2021, arXiv:2103.17239, eq. 3).

    Args:
        channels: C.
        start: initial value of every factor.
    """

    def __init__(self, channels: int, *, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return x * self.weight
