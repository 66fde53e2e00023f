"""A convolution whose filters each see only some of the input channels.

Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional


class WiredConv2d(nn.Module):
    """Convolution whose filters have weights only for the input channels that they see.

    Args:
        wiring: the indices of the input channels of each filter.
        bias: whether each filter has a bias.
    """

    pairs: Tensor

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int],
        bias: bool,
        wiring: Sequence[Sequence[int]],
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        pairs = torch.tensor([(out, into) for out, row in enumerate(wiring) for into in row]).T
        self.register_buffer("pairs", pairs, persistent=False)
        self.shape = (out_channels, in_channels, *kernel_size)
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        # As torch.nn.Conv2d: uniform between -1 / sqrt(fan-in) and 1 / sqrt(fan-in).
        bounds = (pairs[0].bincount(minlength=out_channels) * prod(kernel_size)) ** -0.5
        weight = torch.empty(pairs.shape[1], 1, *kernel_size).uniform_(-1, 1)
        self.weight = nn.Parameter(weight * bounds[pairs[0]].view(-1, 1, 1, 1))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-1, 1) * bounds) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, filters, H', W')."""
        dense = self.weight.new_zeros(self.shape)
        dense[self.pairs[0], self.pairs[1]] = self.weight[:, 0]
        return functional.conv2d(x, dense, self.bias, self.stride, self.padding, self.dilation)
