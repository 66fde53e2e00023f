"""Dot plot of the scores of a sweep, best first; runs that differ only in their seed share a row."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from statistics import fmean
from textwrap import fill

from matplotlib.figure import Figure

from pipeline.pictures.sheets import DPI, save

MOST_RUNS = 40
LABEL_WIDTH = 48  # characters


def draw_comparison(scored: Sequence[tuple[str, Sequence[float]]], path: Path, *, score: str) -> None:
    """Draw the scores of each label; the axis starts near the lowest, so that differences are visible.

    If a label has several scores, for several seeds, their mean is marked and printed. Scores that are not finite are
    omitted.

    Args:
        score: what they are, in words.
    """
    finite = [
        (fill(label, LABEL_WIDTH), [each for each in scores if isfinite(each)]) for label, scores in scored
    ]
    shown = [(label, scores) for label, scores in finite if scores][:MOST_RUNS]
    lines = [label.count("\n") + 1 for label, _ in shown]
    figure = Figure(figsize=(7, 0.8 + sum(0.18 + 0.14 * n for n in lines)), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    axis.set_yticks(range(len(shown)), [label for label, _ in shown], fontsize=8, parse_math=False)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    every = [score for _, scores in shown for score in scores]
    if every:
        spread = max(every) - min(every)
        axis.set_xlim(min(every) - 0.08 * spread - 0.002, max(every) + 0.22 * spread + 0.002)
    axis.hlines(range(len(shown)), *axis.get_xlim(), color="#dde3ea", linewidth=0.8, zorder=0)
    for place, (_, scores) in enumerate(shown):
        mean = fmean(scores)
        if len(scores) > 1:
            axis.plot(scores, [place] * len(scores), "o", color="#9db8d8", markersize=4)
        axis.plot(
            mean,
            place,
            "o" if len(scores) == 1 else "|",
            color="#1f5fa8",
            markersize=5 if len(scores) == 1 else 12,
        )
        rightmost = (max(scores), place)
        axis.annotate(
            f"{mean:.4f}", rightmost, xytext=(7, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_xlabel(f"{score}, of the kept epoch on validation images", fontsize=8, parse_math=False)
    axis.tick_params(axis="x", labelsize=7)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    save(figure, path)
