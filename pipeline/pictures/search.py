"""Figures of a search: best value so far, value against each key, and parallel coordinates.

Shapes: T trials with a value each, K keys; shares (T, K) lie in 0 to 1, below 0 if a key is inactive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from pipeline.pictures.sheets import DPI, save

PANELS = 4  # in a row
DOT = "#1f5fa8"
MAP = "viridis"


@dataclass(frozen=True)
class Key:
    """One key: its name, and some shares with their labels."""

    name: str
    ticks: Sequence[tuple[float, str]]


def draw_best_so_far(values: Sequence[float], path: Path, *, maximizes: bool) -> None:
    """Draw the value of every trial in order, and the best so far."""
    figure = Figure(figsize=(6, 2.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    trials = np.arange(1, len(values) + 1)
    best = np.maximum.accumulate(values) if maximizes else np.minimum.accumulate(values)
    axis.plot(trials, values, "o", color="#9db8d8", markersize=4)
    axis.step(trials, best, where="post", color=DOT)
    axis.set_xlabel("finished trials", fontsize=8)
    axis.set_ylabel("value, and best so far", fontsize=8)
    _plain(axis)
    save(figure, path)


def draw_slices(
    keys: Sequence[Key],
    shares: NDArray[np.float64],
    values: Sequence[float],
    path: Path,
    *,
    importances: Mapping[str, float],
) -> None:
    """Draw a panel per key: the values of the trials against the key, with its importance."""
    columns = min(PANELS, len(keys))
    rows = ceil(len(keys) / columns)
    layout = ConstrainedLayoutEngine(wspace=0.08)  # between the labels at the ends of two axes
    figure = Figure(figsize=(2.5 * columns, 2.2 * rows), dpi=DPI, layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axis in axes[len(keys) :]:
        axis.set_axis_off()
    for axis, key, column in zip(axes, keys, shares.T, strict=False):
        counts = column >= 0
        axis.plot(column[counts], np.asarray(values)[counts], "o", color=DOT, markersize=3)
        share = importances.get(key.name)
        title = key.name if share is None else f"{key.name}\nimportance {share:.2f}"
        axis.set_title(title, fontsize=8, parse_math=False)
        axis.set_xlim(-0.04, 1.04)
        _ticks(axis, key)
        _plain(axis)
    save(figure, path)


def draw_parallel(
    keys: Sequence[Key], shares: NDArray[np.float64], values: Sequence[float], path: Path
) -> None:
    """Draw a line per trial across all keys, coloured by its value."""
    figure = Figure(figsize=(1.6 * len(keys) + 1.6, 3), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    colours = ScalarMappable(Normalize(min(values), max(values)), MAP)
    for row, value in sorted(zip(shares.tolist(), values, strict=True), key=lambda pair: pair[1]):
        line = np.where(np.array(row) < 0, np.nan, row)
        axis.plot(
            range(len(keys)), line, "-o", color=colours.to_rgba(np.array(value)), linewidth=1.2, markersize=3
        )
    axis.set_xticks(range(len(keys)), [key.name for key in keys], fontsize=7, parse_math=False)
    axis.set_yticks([])
    axis.set_xlim(-0.2, len(keys) - 0.4)
    axis.set_ylim(-0.05, 1.05)
    for place, key in enumerate(keys):
        axis.axvline(place, color="#c4ccd6", linewidth=0.8, zorder=0)
        for share, text in key.ticks:
            axis.annotate(
                text, (place, share), xytext=(4, 0), textcoords="offset points", fontsize=6, va="center"
            ).set_parse_math(False)
    bar = figure.colorbar(colours, ax=axis, pad=0.02)
    bar.ax.tick_params(labelsize=7)
    bar.set_label("value", fontsize=8)
    axis.spines[:].set_visible(False)
    save(figure, path)


def _ticks(axis: Axes, key: Key) -> None:
    places, texts = zip(*key.ticks, strict=True)
    axis.set_xticks(places, texts, fontsize=6, rotation=30 if len(texts) > 3 else 0, parse_math=False)


def _plain(axis: Axes) -> None:
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
