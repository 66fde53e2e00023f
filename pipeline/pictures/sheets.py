"""Sheets: a grid of images with captions, masks laid over them where there are any.

Shapes: images (N, H, W, C) uint8 with C of 1 or 3; masks (N, H, W) of class indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from numpy.typing import NDArray

Array = NDArray[np.uint8]

COLUMNS = 8
CELL = 1.3  # inches
CAPTION_WIDTH = 24  # characters
OPACITY = 0.45  # of a mask over its image
DPI = 110
COLOURS = colormaps["Set1"].colors  # type: ignore[attr-defined]


def draw_sheet(
    images: Array,
    path: Path,
    *,
    masks: NDArray[Any] | None = None,
    captions: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    columns: int = COLUMNS,
) -> None:
    """Draw images side by side.

    Args:
        masks: drawn over the images; class 0 stays clear.
        captions: a few words above each image.
        classes: names of the classes of masks, for a legend; other values in a mask stay clear.
    """
    columns = min(columns, len(images))
    rows = ceil(len(images) / columns)
    texts = [fill(caption, CAPTION_WIDTH) for caption in captions or ()]
    lines = max((text.count("\n") + 1 for text in texts), default=0)
    height = CELL * images.shape[1] / images.shape[2] + 0.05 + 0.13 * lines
    figure = Figure(
        figsize=(CELL * columns, height * rows),
        dpi=DPI,
        layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03),
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    if masks is not None and classes is not None:
        masks = np.where(masks < len(classes), masks, 0)
        _add_legend(figure, classes)
    for index, (axis, image) in enumerate(zip(axes, images, strict=False)):
        shown = image if masks is None else overlay(image, masks[index])
        axis.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        if texts:
            axis.set_title(texts[index], fontsize=7, pad=2, parse_math=False)
    save(figure, path)


def overlay(image: Array, mask: NDArray[Any]) -> Array:
    """Lay a mask (H, W) over an image (H, W, C) in colour; class 0 stays clear."""
    colours = np.array(COLOURS) * 255
    base = np.broadcast_to(image, (*image.shape[:2], 3)).astype(float)
    painted = colours[(mask.astype(int) - 1) % len(colours)]
    share = OPACITY * (mask > 0)[..., None]
    blended: Array = np.rint(base * (1 - share) + painted * share).astype(np.uint8)
    return blended


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG without its empty margins, and without the version of the software in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None}, bbox_inches="tight", pad_inches=0.06)


def _add_legend(figure: Figure, classes: Sequence[str]) -> None:
    """Name the colours of classes, where each class has its own."""
    if len(classes) - 1 > len(COLOURS):
        return
    patches = [Patch(color=colour) for colour in COLOURS[: len(classes) - 1]]
    legend = figure.legend(
        patches, list(classes[1:]), loc="outside lower left", ncols=5, fontsize=7, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
