"""Heat maps over images.

Shapes: images (H, W, C) uint8 with C of 1 or 3; heat (H, W) from 0 to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

OPACITY = 0.5
COLOURS = "turbo"  # blue for 0, green, yellow, red for 1


def overlay_heat(image: NDArray[np.uint8], heat: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image as RGB with the colours of a heat map blended over it."""
    levels = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    colours = colormaps[COLOURS](levels, bytes=True)[..., :3]
    base = np.broadcast_to(image, colours.shape).astype(np.float32)
    blended: NDArray[np.uint8] = np.rint((1 - OPACITY) * base + OPACITY * colours).astype(np.uint8)
    return blended
