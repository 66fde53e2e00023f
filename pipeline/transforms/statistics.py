"""Statistics of training images, streamed: memory does not grow with their number.

Values are 8-bit, so a histogram per channel holds all there is to know about mean and deviation, exactly.
Shapes: images are (N, H, W, C) uint8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHUNK = 256  # images in memory at a time


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation per channel over all training pixels, on the scale 0 to 1.

    Args:
        pixels: how many pixels each channel was computed from.
    """

    mean: list[float]
    deviation: list[float]
    pixels: int

    def save(self, path: Path) -> None:
        """Write the statistics as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def chunks(images: NDArray[np.uint8]) -> Iterable[NDArray[np.uint8]]:
    """Yield a (memory-mapped) array in pieces of `CHUNK` images."""
    return (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))


def channel_statistics(pieces: Iterable[NDArray[np.uint8]], *, channels: int) -> Statistics:
    """Return mean and (population) deviation per channel."""
    histogram = np.zeros((channels, 256), dtype=np.int64)
    for piece in pieces:
        for channel in range(channels):
            histogram[channel] += np.bincount(piece[..., channel].ravel(), minlength=256)
    pixels = int(histogram[0].sum())
    totals, squares = ((histogram @ np.arange(256) ** power).tolist() for power in (1, 2))
    # In whole numbers, so that the deviation of a constant channel is 0 and not a rounding error.
    spreads = [pixels * square - total**2 for total, square in zip(totals, squares, strict=True)]
    return Statistics(
        mean=[total / pixels / 255 for total in totals],
        deviation=[sqrt(spread) / pixels / 255 for spread in spreads],
        pixels=pixels,
    )
