"""What tasks have in common whose outputs are images: merged over views, decoded and compared by their pixels.

Shapes: N images, H rows, W columns, C channels; outputs (N, C, H, W) from 0 to 1, predictions (N, H, W, C) uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.tasks.image_quality import WHITE


class ImageOutputs:
    """Merging, decoding and comparing of images, for tasks to inherit."""

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Return the mean of the outputs over the views, mirrored ones flipped back."""
        if len(outputs) == 1:
            return outputs[0]
        turned = [each.flip(-1) if flips else each for each, flips in zip(outputs, mirrored, strict=True)]
        return torch.stack(turned).mean(dim=0)

    def decode(self, outputs: Tensor) -> Tensor:
        """Return the images: (N, H, W, C) uint8."""
        return (outputs.float() * WHITE).round().clamp(0, WHITE).to(torch.uint8).permute(0, 2, 3, 1)

    def difference(self, predictions: NDArray[Any], expected: NDArray[Any]) -> float:
        """Return the largest difference of pixels of which white is 1; a grey level may be rounded either way."""
        if predictions.shape != expected.shape or predictions.dtype != expected.dtype:
            return float("inf")
        largest = np.abs(predictions.astype(int) - expected.astype(int)).max(initial=0)
        return max(0.0, float(largest) - 1) / WHITE
