"""Preprocessing: uint8 pixels to the floats that a network sees, as the first module of the model.

It is part of the saved model, so whoever predicts needs nothing else.
Shapes: (N, C, H, W) uint8 or float in 0..255 to (N, C, H, W) float.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.transforms.statistics import Statistics


class Unit(nn.Module):
    """Scale pixels to 0..1.

    Args:
        statistics: of the training split; not used.
    """

    def __init__(self, statistics: Statistics) -> None:  # noqa: ARG002
        super().__init__()

    def forward(self, image: Tensor) -> Tensor:
        """Return x / 255."""
        return image.float() / 255


class Standardize(nn.Module):
    """Subtract the mean and divide by the deviation of each channel over the training split.

    Args:
        statistics: of the training split.

    Raises:
        ConfigError: a channel is constant.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        for channel, deviation in enumerate(statistics.deviation):
            if deviation == 0:
                raise ConfigError(
                    f"preprocess: channel {channel} has one value in all training images, so standardize "
                    "would divide by zero; use preprocess=unit"
                )
        mean, spread = (
            torch.tensor(values).view(1, -1, 1, 1) for values in (statistics.mean, statistics.deviation)
        )
        self.register_buffer("scale", 1 / (255 * spread))
        self.register_buffer("shift", -mean / spread)

    def forward(self, image: Tensor) -> Tensor:
        """Return (x / 255 - mean) / deviation."""
        return torch.addcmul(self.shift, image.float(), self.scale)
