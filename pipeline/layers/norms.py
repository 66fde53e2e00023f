"""Norms that torch lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """Normalise over the channels at each position (Liu et al. 2022, arXiv:2201.03545, section 2.6; Ba et al. 2016).

    Args:
        channels: C.
        eps: added to the variance, above 0.
    """

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, ...) to the same shape."""
        last = functional.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, self.eps)
        return last.movedim(-1, 1)
