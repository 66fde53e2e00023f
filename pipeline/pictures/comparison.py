"""The scores of a sweep's runs as bars, best first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.pictures.sheets import DPI, save

MOST_BARS = 40


def draw_comparison(bars: Sequence[tuple[str, float]], path: Path) -> None:
    """Draw (label, score) pairs; the axis starts near the lowest, so that differences can be seen."""
    shown = bars[:MOST_BARS]
    figure = Figure(figsize=(7, 0.6 + 0.32 * len(shown)), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    labels, scores = [label for label, _ in shown], [score for _, score in shown]
    spread = max(scores) - min(scores)
    axis.barh(range(len(shown)), scores, color="#1f5fa8", height=0.6)
    axis.set_yticks(range(len(shown)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(min(scores) - 0.15 * spread - 0.002, max(scores) + 0.15 * spread + 0.002)
    for place, score in enumerate(scores):
        axis.text(score, place, f" {score:.4f}", va="center", fontsize=8)
    axis.set_xlabel("best validation score", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    save(figure, path)
