"""Augmentation: a list of albumentations steps, drawn anew for each sample from the seed it is given.

Shapes: images (H, W, C) uint8, masks (H, W) uint8.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # its version check would ask the network at import


class Augmentation:
    """Apply steps in order; image and mask move together.

    Args:
        steps: albumentations transforms.
    """

    def __init__(self, steps: Sequence[Any]) -> None:
        import albumentations  # takes seconds, and a run without steps does not need it

        self._compose = albumentations.Compose(list(steps))

    def __call__(self, image: Array, mask: Array | None, seed: int) -> tuple[Array, Array | None]:
        """Return one draw; the same seed gives the same draw in every process."""
        # Not set_random_seed: it would give each step the same draws, so that all flip or none.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        if mask is None:
            return _with_channels(self._compose(image=image)["image"]), None
        drawn = self._compose(image=image, mask=mask)
        return _with_channels(drawn["image"]), np.ascontiguousarray(drawn["mask"])


def _with_channels(image: Array) -> Array:
    return np.ascontiguousarray(image if image.ndim == 3 else image[..., None])
