"""Pictures of checks: the range test of the learning rate, and what layers put out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure

from pipeline.pictures.sheets import DPI, save

BLUE, RED, GREY, GREEN = "#1f5fa8", "#c0392b", "#b0b0b0", "#2e7d32"
MOST_NAMES = 24  # layers that are named along the axis
EDGE = 1.5  # factor by which the axis of rates is longer than what is drawn
HIGHEST = 1.25  # of the drawn losses, relative to the first one


class Layer(Protocol):
    """What is drawn of a layer."""

    @property
    def where(self) -> str:
        """Its place."""
        ...

    @property
    def mean(self) -> float:
        """Of what it puts out."""
        ...

    @property
    def deviation(self) -> float:
        """Of what it puts out."""
        ...

    @property
    def saturated(self) -> float:
        """Share of saturated values; NaN if it has none."""
        ...

    @property
    def dead(self) -> float:
        """Share of dead units."""
        ...


def draw_range(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    path: Path,
    *,
    low: float,
    high: float,
    declared: float,
) -> None:
    """Draw the loss over the learning rate, with the suggested range and the declared rate."""
    figure = Figure(figsize=(6.2, 3.2), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    if isfinite(low):
        axis.axvspan(low, high, color=GREEN, alpha=0.12, label="suggested")
    axis.plot(rates, losses, color=GREY, linewidth=0.9, label="each step")
    axis.plot(rates, smoothed, color=BLUE, linewidth=1.6, label="running mean")
    axis.axvline(declared, color=RED, linestyle=":", linewidth=1.4, label="optimizer.lr")
    axis.set_xscale("log")
    axis.set_xlim(min(rates[0], declared) / EDGE, max(rates[-1], declared) * EDGE)
    axis.set_ylim(min(0.0, *smoothed), HIGHEST * max(smoothed[0], losses[0]) or 1.0)
    axis.set_xlabel("learning rate", fontsize=8)
    axis.set_ylabel("loss", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False)
    save(figure, path)


def draw_activations(stages: Mapping[str, Sequence[Layer]], path: Path) -> None:
    """Draw mean and deviation of what each layer puts out, and its dead and saturated shares; one column per stage."""
    figure = Figure(figsize=(4.2 * len(stages), 4.4), dpi=DPI, layout="constrained")
    axes = figure.subplots(2, len(stages), squeeze=False, sharex=True, sharey="row")
    for column, (stage, layers) in enumerate(stages.items()):
        places = range(len(layers))
        above, below = axes[:, column]
        above.errorbar(
            places,
            [each.mean for each in layers],
            [each.deviation for each in layers],
            fmt="o",
            color=BLUE,
            markersize=3,
            linewidth=1.2,
        )
        above.axhline(0, color=GREY, linewidth=0.6)
        above.set_title(stage, fontsize=9, parse_math=False)
        below.bar(
            [place - 0.2 for place in places], [each.dead for each in layers], 0.4, color=GREY, label="dead"
        )
        saturated = [each.saturated if isfinite(each.saturated) else 0 for each in layers]
        below.bar([place + 0.2 for place in places], saturated, 0.4, color=RED, label="saturated")
        below.set_ylim(0, 1)
        names = [each.where for each in layers]
        below.set_xticks(
            list(places),
            names if len(names) <= MOST_NAMES else list(map(str, places)),
            rotation=90,
            fontsize=6,
        )
        for axis in (above, below):
            axis.tick_params(axis="y", labelsize=7)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("mean and deviation", fontsize=8)
    axes[1, 0].set_ylabel("share", fontsize=8)
    axes[1, 0].legend(fontsize=7, loc="upper left")
    save(figure, path)
