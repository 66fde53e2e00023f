"""An image of learnt pixels, whatever the input is."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Put out a learnt image, the same for every input (Gatys et al. 2016, section 2.3).

    Args:
        shape: (C, H, W) of the image.
        mean: of its initial values, which are drawn from a normal distribution.
        deviation: of these; 0 for an image of one value.
    """

    def __init__(self, shape: tuple[int, int, int], *, mean: float, deviation: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(mean + deviation * torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the image, N times."""
        return self.weight.expand(len(x), *self.weight.shape)
