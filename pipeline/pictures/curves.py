"""Learning curves: loss and scores over epochs, for training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.pictures.sheets import DPI, save

COLOURS = {"train": "#7a7a7a", "val": "#1f5fa8"}
LABELS = {"train": "training", "val": "validation"}
MOST_PANELS = 6


def draw_curves(history: Sequence[Mapping[str, float]], path: Path, *, kept: int) -> None:
    """Draw one panel per metric, loss first; epochs are numbered from 1.

    Args:
        history: one row per epoch, with keys such as `train/loss` and `val/accuracy`.
        kept: the epoch whose weights were kept, counted from 0 as in `history`; marked by a line.
    """
    names = list(dict.fromkeys(key.split("/")[1] for key in history[0] if "/" in key))[:MOST_PANELS]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.2 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    for axis, name in zip(axes, names, strict=False):
        for part, colour in COLOURS.items():
            points = [(row["epoch"] + 1, row[f"{part}/{name}"]) for row in history if f"{part}/{name}" in row]
            if points:
                marker = "o" if len(points) == 1 else None
                epochs, values = zip(*points, strict=True)
                axis.plot(epochs, values, color=colour, label=LABELS[part], linewidth=1.4, marker=marker)
        axis.axvline(kept + 1, color="#c0392b", linewidth=0.8, linestyle=":")
        axis.set_title(name.replace("_", " "), fontsize=9, parse_math=False)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    save(figure, path)
