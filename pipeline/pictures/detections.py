"""Boxes over images side by side, and precision against recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.pictures.places import Marks, draw_marks
from pipeline.pictures.sheets import save

COLUMNS = 4
WIDTH = 2.6  # inches of an image
LINE = 0.2  # inches of a caption
MOST_CURVES = 20


def draw_detections(
    images: Sequence[NDArray[np.uint8]], marks: Sequence[Marks], captions: Sequence[str], path: Path
) -> None:
    """Draw images (H, W, C) with boxes, large enough to read their names."""
    columns = min(COLUMNS, len(images))
    rows = -(-len(images) // columns)
    height = WIDTH * max(image.shape[0] / image.shape[1] for image in images) + LINE
    figure = Figure(figsize=(WIDTH * columns, height * rows), layout="constrained")
    for index, (image, each, caption) in enumerate(zip(images, marks, captions, strict=True)):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.imshow(draw_marks(image, each))
        axes.set_axis_off()
        axes.set_title(caption, fontsize=7, parse_math=False)
    save(figure, path)


def draw_precision_recall(
    curves: Mapping[str, NDArray[Any]], mean: NDArray[Any], path: Path, *, title: str
) -> None:
    """Draw precision at 101 recalls of each class, and their mean.

    Args:
        curves: name of a class, with its AP, -> (101,); of many, none is drawn.
        mean: (101,).
    """
    recalls = np.linspace(0, 1, len(mean))
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items() if len(curves) <= MOST_CURVES else ():
        axes.plot(recalls, curve, linewidth=1, alpha=0.7, label=name)
    axes.plot(recalls, mean, color="black", linewidth=2, label="mean")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title=title)
    legend = axes.legend(fontsize=7, loc="lower left", ncols=2)
    for text in legend.get_texts():
        text.set_parse_math(False)
    save(figure, path)
