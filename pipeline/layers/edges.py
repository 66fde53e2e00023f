"""Fixed derivative filters: edge detection without training.

Sources: Prewitt 1970; Sobel and Feldman 1968; Scharr 2000.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Weights along the edge; across it the filter is the central difference (-1, 0, 1).
SMOOTHING = {"prewitt": (1.0, 1.0, 1.0), "sobel": (1.0, 2.0, 1.0), "scharr": (3.0, 10.0, 3.0)}


class Edges(nn.Module):
    """Filter each channel by the derivative across columns and the one across rows; borders are replicated.

    The two filters are scaled so that a ramp of slope 1 per pixel gives 1.

    Args:
        channels: C in; 2 C come out, the two of each channel next to each other.
        kind: `sobel`, `scharr` or `prewitt`.
    """

    filters: Tensor

    def __init__(self, channels: int, *, kind: str) -> None:
        super().__init__()
        smoothing = torch.tensor(SMOOTHING[kind])
        across = torch.outer(smoothing / smoothing.sum(), torch.tensor([-0.5, 0.0, 0.5]))
        filters = torch.stack([across, across.T])[:, None]
        self.register_buffer("filters", filters.repeat(channels, 1, 1, 1), persistent=False)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 2 C, H, W)."""
        padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, self.filters.to(x.dtype), groups=self.channels)
