"""Containers of a built network, which join lists of layers in their forward pass.

Shapes: N images, C channels, H rows, W columns; tensors are (N, C, H, W).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.layers.crops import centred


class Residual(nn.Module):
    """Return `after(body(x) + shortcut(x))`.

    Args:
        body: the residual function.
        shortcut: identity, or a projection to the body's shape.
        after: the activation after the sum.
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


class PadChannels(nn.Module):
    """Keep every s-th row and column and append channels of zeros (He et al. 2015, section 4.1, option A).

    Args:
        strides: s for rows and columns.
        more: channels to append.
    """

    def __init__(self, strides: tuple[int, int], more: int) -> None:
        super().__init__()
        self.strides = strides
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C + more, ceil(H / s), ceil(W / s))."""
        return functional.pad(x[:, :, :: self.strides[0], :: self.strides[1]], (0, 0, 0, 0, 0, self.more))


class Skip(nn.Module):
    """Concatenate the input and the body's output along the channels.

    Where the body's map is smaller, as after `valid` filters, the input is cropped around its centre.
    """

    def __init__(self, body: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C + C', H', W')."""
        made: Tensor = self.body(x)
        y: Tensor = self.after(torch.cat((centred(x, made), made), dim=1))
        return y


class Branches(nn.Module):
    """Run several modules on the same input; concatenate their outputs along the channels."""

    def __init__(self, *branches_and_after: nn.Module) -> None:
        super().__init__()
        *branches, after = branches_and_after
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, sum of the branches' channels, H', W')."""
        *branches, after = self.children()
        y: Tensor = after(torch.cat([branch(x) for branch in branches], dim=1))
        return y


class Gate(nn.Module):
    """Multiply the input by the body's output, one factor per channel."""

    def __init__(self, body: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape; the body gives (N, C, 1, 1)."""
        y: Tensor = self.after(x * self.body(x))
        return y


class Auxiliary(nn.Module):
    """Return the input; in training, also keep the body's output for the learner.

    Args:
        weight: of the auxiliary head's loss, relative to the main one; above 0.
    """

    def __init__(self, body: nn.Module, *, weight: float) -> None:
        super().__init__()
        self.body = body
        self.weight = weight
        self._outputs: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x itself."""
        if self.training:
            self._outputs = self.body(x)
        return x

    def take(self) -> Tensor:
        """Return the auxiliary head's output of the last forward pass in training, and clear it."""
        outputs, self._outputs = self._outputs, None
        assert outputs is not None, "take() needs a forward pass in training first"
        return outputs
