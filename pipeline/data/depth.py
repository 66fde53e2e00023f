"""Grey images of more than 8 bits, by the declared range of their values.

A copy of this file travels with every logged model, so it imports nothing of this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PART = 2**16  # values that are converted at once


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has one channel of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def are_whole(values: NDArray[Any]) -> bool:
    """Return whether all values are whole numbers."""
    if np.issubdtype(values.dtype, np.integer):
        return True
    return all(bool(np.isfinite(each).all() and (each == np.floor(each)).all()) for each in _parts(values))


def to_8_bits(values: NDArray[Any], value_range: Sequence[int]) -> NDArray[np.uint8]:
    """Return floor(255 (v - low) / (high - low) + 1/2) for whole numbers v; values outside of the range are clipped.

    Args:
        value_range: low and high, which become 0 and 255.
    """
    low, high = value_range
    span = high - low
    grey = np.empty(values.shape, np.uint8)
    for part, found in zip(_parts(values), _parts(grey), strict=True):
        above = np.clip(part, low, high).astype(np.int64) - low
        found[:] = (510 * above + span) // (2 * span)
    return grey


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield views of an array, so that what is computed from one takes little memory."""
    flat = values.reshape(-1)
    for start in range(0, flat.size, PART):
        yield flat[start : start + PART]
