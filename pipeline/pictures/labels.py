"""Figure of several labels per image: for each class, the images in which it was found, missed, or named in vain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.pictures.sheets import DPI, save

MOST_BARS = 40  # classes; of more, those with most mistakes are drawn
PARTS = {"found": "#2b6cb0", "missed": "#c4ccd6", "not true": "#c05621"}


def draw_labels(
    classes: Sequence[str], found: NDArray[Any], missed: NDArray[Any], untrue: NDArray[Any], path: Path
) -> None:
    """Draw a bar for each class, in the order of the classes.

    Args:
        found: images that have the class and are predicted to, (K,).
        missed: images that have it and are not, (K,).
        untrue: images that do not have it and are, (K,).
    """
    shown = np.sort(np.argsort(-(missed + untrue), kind="stable")[:MOST_BARS])
    figure = Figure(figsize=(6.4, 0.8 + 0.24 * len(shown)), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    places, left = np.arange(len(shown)), np.zeros(len(shown))
    for (name, colour), counts in zip(PARTS.items(), (found, missed, untrue), strict=True):
        axis.barh(places, counts[shown], left=left, color=colour, label=name, height=0.7)
        left += counts[shown]
    axis.set_yticks(places, [classes[index] for index in shown], fontsize=7, parse_math=False)
    axis.invert_yaxis()
    axis.tick_params(length=0, labelsize=7)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("images", fontsize=8)
    axis.legend(
        fontsize=7, frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.0 + 0.5 / len(shown))
    )
    save(figure, path)
