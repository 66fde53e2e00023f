"""Heat maps over images.

Shapes: images (H, W, C) uint8 with C of 1 or 3; heat (H, W) from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.pictures.sheets import save

OPACITY = 0.5
COLUMNS = 8
COLOURS = "turbo"  # blue for 0, green, yellow, red for 1


def overlay_heat(image: NDArray[np.uint8], heat: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image as RGB with the colours of a heat map blended over it."""
    levels = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    colours = colormaps[COLOURS](levels, bytes=True)[..., :3]
    base = np.broadcast_to(image, colours.shape).astype(np.float32)
    blended: NDArray[np.uint8] = np.rint((1 - OPACITY) * base + OPACITY * colours).astype(np.uint8)
    return blended


def draw_heat(
    images: NDArray[np.uint8],
    maps: NDArray[Any],
    boxes: NDArray[Any],
    path: Path,
    *,
    captions: Sequence[str],
) -> None:
    """Draw images in a grid, each with a heat map over it and a box.

    Args:
        boxes: (N, 4) of x_min, y_min, x_max, y_max in pixels of the images; NaN for none.
        captions: short text above each image.
    """
    columns = min(COLUMNS, len(images))
    rows = ceil(len(images) / columns)
    figure = Figure(figsize=(1.4 * columns, 1.75 * rows))
    for index, (image, heat, box) in enumerate(zip(images, maps, boxes, strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        height, width = image.shape[:2]
        axes.imshow(overlay_heat(image, heat), extent=(0, width, height, 0), interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(captions[index], fontsize=7, parse_math=False)
        if not np.isnan(box).any():
            corner, sides = box[:2], box[2:] - box[:2]
            axes.add_patch(
                Rectangle((corner[0], corner[1]), *sides, fill=False, edgecolor="white", linewidth=1.5)
            )
    save(figure, path)
