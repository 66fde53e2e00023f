"""Regularisation layers that drop parts of their input at random in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero all maps of an image with a probability; scale those kept so that the mean is unchanged.

    Source: stochastic depth, Huang et al. 2016, arXiv:1603.09382, section 3; scaled in training, not in testing.

    Args:
        probability: in [0, 1).
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, ...) to the same shape."""
        if not self.training or not self.probability:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.probability
        return x * kept.to(x.dtype) / (1 - self.probability)
