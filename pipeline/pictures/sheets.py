"""Sheets: grids of images with captions, and with masks, boxes or points over them.

Shapes: images (H, W, C) uint8 with C of 1 or 3; masks (H, W) of class indices.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.pictures.colours import COLOURS
from pipeline.pictures.fonts import set_fonts
from pipeline.pictures.places import Marks, mark

Array = NDArray[np.uint8]

COLUMNS = 8
DPI = 110
CELL = 143  # pixels across
GAP = 7  # pixels
LEGEND_COLUMNS = 5
LINE = 15  # pixels of a line of text
CAPTION_WIDTH = 22  # characters; those of Chinese, Japanese and Korean are twice as wide
OPACITY = 0.45  # of a mask over its image


def draw_sheet(
    images: Sequence[Array] | Array,
    path: Path,
    *,
    masks: Sequence[NDArray[Any]] | NDArray[Any] | None = None,
    captions: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    marks: Sequence[Marks] | None = None,
    columns: int = COLUMNS,
    cell: int = CELL,
) -> None:
    """Draw images in a grid; their sizes may differ.

    Args:
        masks: overlaid on the images; class 0 is transparent.
        captions: short text above each image, which may have several lines.
        classes: names of the classes of masks, for a legend; other values in a mask are transparent.
        marks: boxes or points over the images, in pixels of these.
        cell: pixels across of each image.
    """
    columns = min(columns, len(images))
    texts = ["\n".join(map(_wrapped, each.splitlines())) for each in captions or ()]
    band = LINE * max((text.count("\n") + 1 for text in texts), default=0)
    height = round(cell * max(image.shape[0] / image.shape[1] for image in images))
    has_legend = masks is not None and classes is not None and len(classes) - 1 <= len(COLOURS)
    pitch = band + height + GAP
    legend = (1 + ceil((len(classes) - 1) / LEGEND_COLUMNS)) * LINE if has_legend and classes else 0
    width = GAP + max(columns, LEGEND_COLUMNS if legend else 1) * (cell + GAP)
    canvas = np.full((GAP + ceil(len(images) / columns) * pitch + legend, width, 3), 255, dtype=np.uint8)
    places = [
        (GAP + (index // columns) * pitch, GAP + (index % columns) * (cell + GAP))
        for index in range(len(images))
    ]
    for index, (image, (top, left)) in enumerate(zip(images, places, strict=True)):
        shown = image if masks is None else overlay(image, _known(masks[index], classes))
        pixels = _enlarged(shown, cell)
        if marks is not None:
            pixels = mark(pixels, marks[index], scale=cell / image.shape[1])
        canvas[top + band : top + band + len(pixels), left : left + cell] = pixels
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)
    figure.figimage(canvas, origin="upper")
    for text, (top, left) in zip(texts, places, strict=False):
        x, y = (left + cell / 2) / canvas.shape[1], 1 - (top + band - 3) / canvas.shape[0]
        figure.text(x, y, text, ha="center", va="bottom", fontsize=7, parse_math=False)
    if has_legend:
        assert classes is not None
        _add_legend(figure, classes)
    save(figure, path, trims=False)


def _wrapped(line: str) -> str:
    """Break a line of a caption so that it is not wider than an image."""
    num_wide = sum(east_asian_width(each) in "WF" for each in line)
    return fill(line, round(CAPTION_WIDTH * len(line) / (len(line) + num_wide))) if line else ""


def _known(mask: NDArray[Any], classes: Sequence[str] | None) -> NDArray[Any]:
    """Return a mask with values that are not a class index set to 0."""
    return mask if classes is None else np.where(mask < len(classes), mask, 0)


def _enlarged(image: Array, cell: int) -> Array:
    """Return an image as RGB, resized to a width of `cell` pixels by nearest neighbour."""
    rows, columns = image.shape[:2]
    height = round(cell * rows / columns)
    down, across = np.arange(height) * rows // height, np.arange(cell) * columns // cell
    return np.broadcast_to(image[down[:, None], across], (height, cell, 3))


def overlay(image: Array, mask: NDArray[Any]) -> Array:
    """Blend a coloured mask (H, W) over an image (H, W, C); class 0 is transparent."""
    colours = np.array([to_rgb(colour) for colour in COLOURS]) * 255
    base = np.broadcast_to(image, (*image.shape[:2], 3)).astype(float)
    painted = colours[(mask.astype(int) - 1) % len(colours)]
    share = OPACITY * (mask > 0)[..., None]
    blended: Array = np.rint(base * (1 - share) + painted * share).astype(np.uint8)
    return blended


def save(figure: Figure, path: Path, *, trims: bool = True) -> None:
    """Save a figure as PNG without version metadata, optionally trimming empty margins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # for which fonts are looked
        _save(figure, path, trims=trims)
        if set_fonts(figure):
            _save(figure, path, trims=trims)


def _save(figure: Figure, path: Path, *, trims: bool) -> None:
    box = "tight" if trims else None
    figure.savefig(path, metadata={"Software": None}, bbox_inches=box, pad_inches=0.06)


def _add_legend(figure: Figure, classes: Sequence[str]) -> None:
    """Name the colours of the classes."""
    patches = [Patch(color=colour) for colour in COLOURS[: len(classes) - 1]]
    legend = figure.legend(
        patches, list(classes[1:]), loc="lower left", ncols=LEGEND_COLUMNS, fontsize=7, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
