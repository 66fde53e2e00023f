"""A convolution whose filters each see only some of the input channels.

Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        groups: int,
        bias: bool,
        wiring: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        assert groups == 1, "the wiring replaces groups"
        pairs = [(out, into) for out, row in enumerate(wiring) for into in row]
        self.weight = nn.Parameter(torch.empty(len(pairs), 1, *kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_buffer("pairs", torch.tensor(pairs).T, persistent=False)
        self.shape = (out_channels, in_channels, *kernel_size)
        self.stride = stride
        self.padding = padding
        self.draw(lambda dense: nn.init.kaiming_uniform_(dense, a=5**0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, filters, H', W')."""
        dense = self.weight.new_zeros(self.shape)
        dense[self.pairs[0], self.pairs[1]] = self.weight[:, 0]
        return functional.conv2d(x, dense, self.bias, self.stride, self.padding)

    def draw(self, fill: Callable[[Tensor], object]) -> None:
        """Draw the weights of filters that see every channel, and keep the wired ones."""
        dense = self.weight.new_zeros(self.shape)
        fill(dense)
        with torch.no_grad():
            self.weight.copy_(dense[self.pairs[0], self.pairs[1]][:, None])
