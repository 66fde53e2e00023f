"""The class of each window of an image as a map, and the windows that are detections as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.pictures.places import draw_boxes
from pipeline.pictures.sheets import save

COLOURS = "tab20"
WIDTH = 2.6  # inches of an image
LEGEND_COLUMNS = 10
MOST_NAMED = 20  # classes of a legend


@dataclass(frozen=True)
class ShownWindows:
    """An image with what its windows say.

    Args:
        image: (H, W, C) uint8.
        labels: (R, S), the most probable class of each window.
        confidences: (R, S), its probability.
        boxes: (R * S, 4), the windows in pixels of the image, row by row.
        detections: (n, 6): box, class and confidence.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.integer]
    confidences: NDArray[Any]
    boxes: NDArray[Any]
    detections: NDArray[Any]


def draw_windows(shown: Sequence[ShownWindows], classes: Sequence[str], path: Path) -> None:
    """Draw images side by side: above, the detections; below, the class of each window at its centre.

    The more probable a class, the less transparent is its colour.
    """
    ratio = shown[0].image.shape[0] / shown[0].image.shape[1]
    figure = Figure(figsize=(WIDTH * len(shown), 2 * WIDTH * ratio + 0.5), layout="constrained")
    for index, each in enumerate(shown):
        _draw_detections(figure.add_subplot(2, len(shown), index + 1), each, classes)
        _draw_map(figure.add_subplot(2, len(shown), len(shown) + index + 1), each)
    if len(classes) <= MOST_NAMED:
        patches = [Patch(color=_colour(label), label=name) for label, name in enumerate(classes)]
        legend = figure.legend(
            handles=patches, loc="outside lower center", ncols=LEGEND_COLUMNS, fontsize=8, frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    save(figure, path)


def _draw_detections(axes: Any, shown: ShownWindows, classes: Sequence[str]) -> None:
    labels = shown.detections[:, 4].astype(int)
    captions = [
        f"{classes[label]} {confidence:.2f}"
        for label, confidence in zip(labels, shown.detections[:, 5], strict=True)
    ]
    colours = [_colour(label) for label in labels]
    _show(axes, shown.image, draw_boxes(shown.image, shown.detections[:, :4], captions, colours=colours))


def _draw_map(axes: Any, shown: ShownWindows) -> None:
    """Draw a cell around the centre of each window."""
    _show(axes, shown.image, shown.image)
    colours = colormaps[COLOURS](shown.labels % 20)
    colours[..., 3] = shown.confidences
    corners = shown.boxes.reshape(*shown.labels.shape, 4)
    centres = (corners[..., :2] + corners[..., 2:]) / 2
    first, last = centres[0, 0], centres[-1, -1]
    counts = np.array(shown.labels.shape[::-1])
    half = np.where(counts > 1, (last - first) / np.maximum(counts - 1, 1), shown.image.shape[1::-1]) / 2
    (left, top), (right, bottom) = first - half, last + half
    axes.imshow(colours, extent=(left, right, bottom, top), interpolation="nearest")
    axes.set_xlim(0, shown.image.shape[1])
    axes.set_ylim(shown.image.shape[0], 0)


def _show(axes: Any, image: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> None:
    """Show what is drawn of an image, at any scale, on the image's own coordinates."""
    height, width = image.shape[:2]
    axes.imshow(np.broadcast_to(drawn, (*drawn.shape[:2], 3)), extent=(0, width, height, 0))
    axes.set_axis_off()


def _colour(label: int) -> str:
    return to_hex(colormaps[COLOURS](label % 20))
