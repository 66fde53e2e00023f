"""Sheets: a grid of images with captions, masks laid over them where there are any.

Shapes: images (N, H, W, C) uint8 with C of 1 or 3; masks (N, H, W) of class indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.uint8]

COLUMNS = 8
CELL = 1.3  # inches
OPACITY = 0.45  # of a mask over its image
DPI = 110


def draw_sheet(
    images: Array,
    path: Path,
    *,
    masks: NDArray[Any] | None = None,
    captions: Sequence[str] | None = None,
    columns: int = COLUMNS,
) -> None:
    """Draw images side by side.

    Args:
        masks: drawn over the images; class 0 stays clear.
        captions: a line above each image.
    """
    columns = min(columns, len(images))
    rows = ceil(len(images) / columns)
    ratio = images.shape[1] / images.shape[2]
    height = CELL * ratio + (0.25 if captions else 0.05)
    figure = Figure(figsize=(CELL * columns, height * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for index, (axis, image) in enumerate(zip(axes, images, strict=False)):
        shown = image if masks is None else overlay(image, masks[index])
        axis.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        if captions is not None:
            axis.set_title(captions[index], fontsize=7, pad=2)
    save(figure, path)


def overlay(image: Array, mask: NDArray[Any]) -> Array:
    """Lay a mask (H, W) over an image (H, W, C) in colour; class 0 stays clear."""
    colours = (np.array(colormaps["Set1"].colors) * 255)[:, :3]  # type: ignore[attr-defined]
    base = np.broadcast_to(image, (*image.shape[:2], 3)).astype(float)
    painted = colours[(mask.astype(int) - 1) % len(colours)]
    share = OPACITY * (mask > 0)[..., None]
    blended: Array = np.rint(base * (1 - share) + painted * share).astype(np.uint8)
    return blended


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, without the version of the software in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
