"""The containers of a built network: how lists of layers are joined in forward.

Shapes: N images, C channels, H rows, W columns; tensors are (N, C, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Return `after(body(x) + shortcut(x))`.

    Args:
        body: the residual function.
        shortcut: identity, or a projection to the body's shape.
        after: the activation behind the sum.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the body's shape."""
        y: Tensor = self.after(self.body(x) + self.shortcut(x))
        return y


class Skip(nn.Module):
    """Return input and body's output, concatenated along the channels."""

    def __init__(self, body: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C + C', H, W)."""
        y: Tensor = self.after(torch.cat((x, self.body(x)), dim=1))
        return y
