"""Measurement of the training split: what preprocessing needs to know of it. No other split is read."""

from __future__ import annotations

from pipeline.data.prepared import Prepared
from pipeline.transforms.statistics import Statistics, measure, pieces_of


def measure_training_images(prepared: Prepared, tile: tuple[int, int] | None) -> Statistics:
    """Return the statistics of the training images.

    Args:
        tile: rows and columns of the tiles that are whitened; None where nothing is.
    """
    return measure(pieces_of(prepared.images("train")), patch=tile)
