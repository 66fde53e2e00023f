"""Figure of anchors: their shapes, and the training objects that each of them takes.

Shapes: n objects and A anchors, widths and heights in pixels (n, 2) and (A, 2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.pictures.colours import colour_of
from pipeline.pictures.sheets import DPI, save

MOST_DOTS = 4000  # objects that are drawn; the numbers count all
GREY = "#555555"
ROW = 0.16  # inches of a line of the legend


def draw_anchors(
    sizes: NDArray[np.floating],
    anchors: NDArray[np.floating],
    ious: NDArray[np.floating],
    path: Path,
    *,
    least: float,
) -> None:
    """Draw anchors around one centre, and objects by width and height in the colour of their best anchor.

    The legend has, for each anchor, its objects, the mean of their IoU with it, and how many it does not take.

    Args:
        sizes: of the training objects.
        ious: of the shapes of objects and anchors (n, A).
        least: IoU of shapes below which an anchor does not take an object, which is drawn as a grey cross.
    """
    best, iou = ious.argmax(axis=1), ious.max(axis=1)
    figure = Figure(figsize=(7.2, 3.2 + ROW * (len(anchors) + 1)), dpi=DPI, layout="constrained")
    shapes, objects = figure.subplots(1, 2)
    for index, (width, height) in enumerate(anchors):
        corner, colour = (-width / 2, -height / 2), colour_of(index)
        shapes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.6))
    side = 0.55 * float(anchors.max())
    shapes.set(xlim=(-side, side), ylim=(-side, side), aspect="equal")
    shapes.set_title("anchors, in pixels of the network's image", fontsize=8)

    step = max(1, len(sizes) // MOST_DOTS)
    dots, owner, is_taken = sizes[::step], best[::step], (iou >= least)[::step]
    for index, (width, height) in enumerate(anchors):
        own, fits = best == index, iou[best == index]
        mean = f", mean IoU {fits.mean():.3f}" if len(fits) else ""
        label = f"{width:g} x {height:g}: {own.sum():,} objects{mean}, not taken {(fits < least).sum():,}"
        shown = dots[(owner == index) & is_taken]
        objects.scatter(*shown.T, s=3, color=colour_of(index), alpha=0.4, linewidths=0)
        objects.scatter(
            width, height, s=60, marker="s", color=colour_of(index), edgecolor="black", label=label
        )
    label = f"all: {len(sizes):,} objects, mean IoU {iou.mean():.3f}, not taken {(iou < least).sum():,}"
    objects.scatter(*dots[~is_taken].T, s=14, marker="x", color=GREY, linewidths=0.9, label=label)
    objects.set_xlim(0, 1.05 * float(max(sizes[:, 0].max(), anchors[:, 0].max())))
    objects.set_ylim(0, 1.05 * float(max(sizes[:, 1].max(), anchors[:, 1].max())))
    objects.set_xlabel("width", fontsize=8)
    objects.set_ylabel("height", fontsize=8)
    objects.set_title(f"training objects; a cross has an IoU below {least:g} with all", fontsize=8)
    for axis in (shapes, objects):
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", fontsize=7, frameon=False)
    save(figure, path)
