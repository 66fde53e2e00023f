"""Figures of distances between images: who is accepted and recognised, and a map of embeddings.

Shapes: N images; points (N, 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.pictures.colours import colour_of
from pipeline.pictures.sheets import DPI, save

SIZE = (3.8, 3.2)  # inches
BINS = 40
SMALLEST_FAR = 1e-3  # on the logarithmic axis
MOST_NAMES = 40  # identities whose names a map shows
GENUINE, IMPOSTORS, LINE = "#1f5fa8", "#c0392b", "#7a7a7a"

Array = NDArray[np.floating[Any]]


def draw_roc(
    far: Array, tar: Array, path: Path, *, equal_error: float, at_threshold: tuple[float, float]
) -> None:
    """Draw the share of accepted genuine pairs over that of impostors, on a logarithmic axis.

    Args:
        at_threshold: both shares at the threshold, which a dot marks.
    """
    figure, axis = _start()
    axis.step(np.maximum(far, SMALLEST_FAR), tar, where="post", color=GENUINE, linewidth=1.4)
    place = (max(at_threshold[0], SMALLEST_FAR), at_threshold[1])
    axis.plot(*place, "o", color=IMPOSTORS, markersize=5)
    axis.annotate("threshold", place, (6, -11), textcoords="offset points", fontsize=7)
    axis.set_xscale("log")
    axis.set_xlim(SMALLEST_FAR, 1)
    axis.set_ylim(0, 1.02)
    axis.set_title(f"equal error rate {equal_error:.1%}", fontsize=9)
    _label(axis, "false accept rate", "true accept rate")
    save(figure, path)


def draw_distances(genuine: Array, impostors: Array, path: Path, *, threshold: float) -> None:
    """Draw how often pairs of one identity and of two have each distance, as shares of their kind."""
    figure, axis = _start()
    edges = np.linspace(0, max(genuine.max(), impostors.max(), threshold, 1e-6), BINS + 1).tolist()
    for values, colour, name in (
        (genuine, GENUINE, "one identity"),
        (impostors, IMPOSTORS, "two identities"),
    ):
        shares = np.full(len(values), 1 / len(values))
        axis.hist(
            values, edges, weights=shares, color=colour, alpha=0.55, label=f"{name}, {len(values):,} pairs"
        )
    axis.axvline(threshold, color=LINE, linewidth=1, linestyle="--", label=f"threshold {threshold:.3f}")
    axis.legend(fontsize=7, frameon=False, loc="upper left")
    axis.set_ylim(top=1.25 * axis.get_ylim()[1])
    _label(axis, "distance", "share of pairs")
    save(figure, path)


def draw_recognition(sizes: Sequence[int], shares: Sequence[float], path: Path) -> None:
    """Draw the share of queries that are recognised by one image of each identity, over their number."""
    figure, axis = _start()
    axis.plot(sizes, shares, color=GENUINE, linewidth=1.4, marker="o", markersize=3, label="rank-1")
    axis.plot(sizes, 1 / np.asarray(sizes), color=LINE, linewidth=1, linestyle=":", label="chance")
    axis.set_ylim(0, 1.02)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(fontsize=7, frameon=False, loc="lower left")
    _label(axis, "identities in the gallery, one image each", "share of queries recognised")
    save(figure, path)


def draw_map(points: Array, identities: Sequence[str], path: Path) -> None:
    """Draw images as dots in two dimensions, in the colour of their identity, whose name stands in its middle."""
    figure, axis = _start(1.4)
    names = sorted(set(identities))
    chosen = np.array(identities)
    for place, name in enumerate(names):
        own = points[chosen == name]
        axis.scatter(own[:, 0], own[:, 1], s=14, color=colour_of(place), alpha=0.8, linewidths=0)
        if len(names) <= MOST_NAMES:
            axis.annotate(name, own.mean(axis=0), fontsize=7, ha="center", va="center", parse_math=False)
    axis.set_aspect("equal", adjustable="datalim")
    _label(axis, "first principal axis", "second principal axis")
    save(figure, path)


def _start(factor: float = 1.0) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(SIZE[0] * factor, SIZE[1] * factor), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def _label(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=8)
    axis.set_ylabel(y, fontsize=8)
