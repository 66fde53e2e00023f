"""Differences between methods with their intervals, beside zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure

from pipeline.pictures.sheets import DPI, save

LABEL_WIDTH = 48  # characters
MOST = 40
SHOWN, HIDDEN = "#1f5fa8", "#8a94a0"


@dataclass(frozen=True)
class ShownDifference:
    """A difference.

    Args:
        name: of the method.
        value: its score minus that of the first method.
        total: bounds of its interval; NaN for none.
        images: the same over test images alone.
        is_shown: whether it is more than luck.
    """

    name: str
    value: float
    total: tuple[float, float]
    images: tuple[float, float]
    is_shown: bool


def draw_differences(shown: Sequence[ShownDifference], path: Path, *, first: str, score: str) -> None:
    """Draw a dot for each difference, a thin line for its interval, and a thick one for that over images alone.

    Differences that may be luck are grey.

    Args:
        first: name of the method that the others are compared with.
        score: what is compared, in words.
    """
    rows = shown[:MOST]
    labels = [fill(row.name, LABEL_WIDTH) for row in rows]
    heights = [0.22 + 0.14 * (label.count("\n") + 1) for label in labels]
    figure = Figure(figsize=(7, 0.9 + sum(heights)), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color="black", linewidth=0.8)
    for place, row in enumerate(rows):
        colour = SHOWN if row.is_shown else HIDDEN
        for bounds, width in ((row.total, 1.2), (row.images, 3.5)):
            if not isnan(bounds[0]):
                axis.hlines(place, *bounds, color=colour, linewidth=width)
        axis.plot(row.value, place, "o", color="white", markeredgecolor=colour, markersize=6)
    axis.set_yticks(range(len(rows)), labels, fontsize=8, parse_math=False)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlabel(f"{score}, minus that of {first}", fontsize=8, parse_math=False)
    axis.tick_params(axis="x", labelsize=7)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    save(figure, path)
