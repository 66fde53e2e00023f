"""Scores as a table on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 80  # columns
MOST = 16  # scores


def print_scores(
    run: str,
    scores: Mapping[str, Any],
    titles: Mapping[str, str],
    row: Mapping[str, Any],
    guessed: Mapping[str, Any],
) -> None:
    """Print scores with their intervals, beside those of always guessing the majority class.

    Args:
        run: what was scored.
        scores: name -> {value, low, high}.
        titles: name -> title.
        row: what `metrics.json` says beside: which score selects, other data than the run's own, and groups that are
            too few for intervals.
        guessed: `baseline.json`: {class, scores}; empty if the task has no such guess.
    """
    console = Console(width=WIDTH, highlight=False, soft_wrap=True)
    place = (
        f"{row['images']:,} images of {row['data']}, split {row['split']}" if "data" in row else "split test"
    )
    console.print(f"{run}, {place}", markup=False)
    table = Table("score", "value", "95 % interval", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    if guessed:
        table.add_column("majority", justify="right")
    for name, score in islice(scores.items(), MOST):
        has_bounds = not math.isnan(score["low"])
        bounds = f"{score['low']:.4f} to {score['high']:.4f}" if has_bounds else ""
        more = [f"{guessed['scores'][name]:.4f}" if name in guessed["scores"] else ""] if guessed else []
        table.add_row(titles[name], f"{score['value']:.4f}", bounds, *more)
    console.print(table, markup=False)
    if len(scores) > MOST:
        console.print(f"and {len(scores) - MOST} more")
    if guessed:
        console.print(
            f"majority: always guessing '{guessed['class']}', the most frequent class", markup=False
        )
    console.print(f"selected by: {row['score_of']}", markup=False)
    if "score_min" in row:
        console.print(
            f"{row['score_of']} of {row['score_n']} groups, which are too few for intervals: "
            f"{row['score_min']:.4f} to {row['score_max']:.4f}",
            markup=False,
        )
