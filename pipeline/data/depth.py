"""Grey images of more than 8 bits, by the declared range of their values.

A copy of this file travels with every logged model, so it imports nothing of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has one channel of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def are_whole(values: NDArray[Any]) -> bool:
    """Return whether all values are whole numbers."""
    return bool(np.isfinite(values).all() and (values == np.floor(values)).all())


def to_8_bits(values: NDArray[Any], value_range: Sequence[int]) -> NDArray[np.uint8]:
    """Return floor(255 (v - low) / (high - low) + 1/2) for whole numbers v; values outside of the range are clipped.

    Args:
        value_range: low and high, which become 0 and 255.
    """
    low, high = value_range
    span = high - low
    above = np.clip(values, low, high).astype(np.int64) - low
    grey: NDArray[np.uint8] = ((510 * above + span) // (2 * span)).astype(np.uint8)
    return grey
