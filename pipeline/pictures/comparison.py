"""The scores of a sweep's runs as a row of dots each, best first."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure

from pipeline.pictures.sheets import DPI, save

MOST_RUNS = 40
LABEL_WIDTH = 48  # characters


def draw_comparison(scored: Sequence[tuple[str, float]], path: Path) -> None:
    """Draw (label, score) pairs; the axis starts near the lowest, so that differences can be seen.

    Scores that are not numbers are left out.
    """
    shown = [(fill(label, LABEL_WIDTH), score) for label, score in scored if isfinite(score)][:MOST_RUNS]
    lines = [label.count("\n") + 1 for label, _ in shown]
    figure = Figure(figsize=(7, 0.8 + sum(0.18 + 0.14 * n for n in lines)), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    labels, scores = [label for label, _ in shown], [score for _, score in shown]
    axis.set_yticks(range(len(shown)), labels, fontsize=8, parse_math=False)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    if shown:
        spread = max(scores) - min(scores)
        axis.set_xlim(min(scores) - 0.08 * spread - 0.002, max(scores) + 0.22 * spread + 0.002)
    axis.hlines(range(len(shown)), *axis.get_xlim(), color="#dde3ea", linewidth=0.8, zorder=0)
    axis.plot(scores, range(len(shown)), "o", color="#1f5fa8", markersize=5)
    for place, score in enumerate(scores):
        axis.annotate(
            f"{score:.4f}", (score, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_xlabel("validation score of the kept epoch", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    save(figure, path)
