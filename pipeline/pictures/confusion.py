"""Figure of the confusion matrix: rows are true classes, columns predicted ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.pictures.sheets import DPI, save

MOST_NUMBERS = 25  # classes; with more, cells are too small for numbers
LARGEST = 10.5  # inches


def draw_confusion(matrix: NDArray[Any], classes: Sequence[str], path: Path) -> None:
    """Draw counts; colours show them as shares of the true class."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(3.2, 0.42 * len(classes)), LARGEST)
    figure = Figure(figsize=(side, side), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= MOST_NUMBERS:
        rotation = 60 if max(map(len, classes)) > 2 else 0
        axis.set_xticks(range(len(classes)), classes, rotation=rotation, fontsize=7, parse_math=False)
        axis.set_yticks(range(len(classes)), classes, fontsize=7, parse_math=False)
        for row, column in np.argwhere(matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = str(matrix[row, column])
            axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axis.tick_params(length=0)
    axis.spines[:].set_color("#c4ccd6")
    axis.set_xlabel("predicted", fontsize=8)
    axis.set_ylabel("true", fontsize=8)
    save(figure, path)
