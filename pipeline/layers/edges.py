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
    """Filter each channel by derivatives across columns and rows.

    Args:
        channels: C in; C times the number of directions come out, those of each channel next to each other.
        kind: `sobel`, `scharr` or `prewitt`.
        scale: `unit`, so that a ramp of slope 1 per pixel gives 1, or `integer`, the weights as printed in textbooks.
        direction: in which brightness rises where the output is positive: `right`, `left`, `down` or `up`; `both`
            for right and down.
        padding: `same` replicates the border, `valid` leaves the first and last row and column out.
    """

    filters: Tensor

    def __init__(
        self, channels: int, *, kind: str, scale: str = "unit", direction: str = "both", padding: str = "same"
    ) -> None:
        super().__init__()
        smoothing, difference = torch.tensor(SMOOTHING[kind]), torch.tensor([-1.0, 0.0, 1.0])
        if scale == "unit":
            smoothing, difference = smoothing / smoothing.sum(), difference / 2
        right = torch.outer(smoothing, difference)
        rising = {
            "right": [right],
            "left": [-right],
            "down": [right.T],
            "up": [-right.T],
            "both": [right, right.T],
        }
        filters = torch.stack(rising[direction])[:, None]
        self.register_buffer("filters", filters.repeat(channels, 1, 1, 1), persistent=False)
        self.channels = channels
        self.border = 1 if padding == "same" else 0

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C or 2 C, H, W); with `valid` padding, H - 2 rows and W - 2 columns."""
        padded = functional.pad(x, (self.border,) * 4, mode="replicate")
        return functional.conv2d(padded, self.filters.to(x.dtype), groups=self.channels)
