"""Images that are like photographs: neighbouring pixels and channels resemble each other."""

import numpy as np
from numpy.typing import NDArray


def photographs(count: int, *, sides: tuple[int, int], channels: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return (N, H, W, C): walks at random along rows and columns, a part of them shared by the channels."""
    random = np.random.default_rng(seed)
    own, shared = (random.normal(0, 12, (count, *sides, each)) for each in (channels, 1))
    levels = 120 + 20 * np.arange(channels) + (own + 2 * shared).cumsum(axis=1).cumsum(axis=2) / 3
    return np.rint(levels).clip(0, 255).astype(np.uint8)
