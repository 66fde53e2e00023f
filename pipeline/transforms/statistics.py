"""Statistics of training images, streamed: memory does not grow with their number.

Values are 8-bit, so a histogram per channel holds all there is to know about mean and deviation, exactly.
Shapes: images are (N, H, W, C) uint8.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
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
    values = np.arange(256) / 255
    pixels = int(histogram[0].sum())
    mean = histogram @ values / pixels
    variance = (histogram * (values - mean[:, None]) ** 2).sum(axis=1) / pixels
    return Statistics(mean.tolist(), np.sqrt(variance).tolist(), pixels)
