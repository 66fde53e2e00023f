"""Figure of errors: the share of images whose error is at most what the axis says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.pictures.sheets import DPI, save


def draw_errors(errors: NDArray[np.floating], path: Path, *, title: str, limit: float) -> None:
    """Draw the cumulative distribution of errors (N,), with a line at the one from which images fail."""
    figure = Figure(figsize=(5.2, 3.0), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    ordered = np.sort(errors)
    axis.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", color="#1f5fa8")
    axis.axvline(limit, color="#c05621", linewidth=1)
    axis.set_xlim(0, max(1.2 * limit, float(np.quantile(ordered, 0.98)) * 1.1))
    axis.set_ylim(0, 1.02)
    axis.set_xlabel(title, fontsize=8)
    axis.set_ylabel("share of images up to it", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    save(figure, path)
