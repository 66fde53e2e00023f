"""The files that evaluation writes: scores with their intervals, a row for `dvc metrics`, scores of groups, remarks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from pipeline.files import write_text
from pipeline.storage.names import escape_cells
from pipeline.tasks.intervals import GroupScores, Interval


def write_scores(
    out: Path,
    scores: Mapping[str, Interval],
    grouped: Mapping[str, GroupScores],
    summary: Mapping[str, Any],
    *,
    guessed: Mapping[str, Any],
    remarks: Sequence[str],
) -> None:
    """Write the scores of a run.

    Args:
        grouped: scores of each group.
        summary: the row that `dvc metrics show` shows.
        guessed: {class, scores} of always guessing the majority class; empty if the task has no such guess.
        remarks: sentences on what is left out of scores.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "baseline.json", json.dumps(guessed, indent=2) + "\n")
    write_text(out / "scores.json", json.dumps(scores, indent=2) + "\n")
    write_text(out / "metrics.json", json.dumps(summary, indent=2) + "\n")
    write_text(out / "remarks.txt", "".join(f"{remark}\n" for remark in remarks))
    write_rows(out / "groups.csv", ("group", "images", *scores), _group_rows(grouped))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(escape_cells, rows))


def _group_rows(grouped: Mapping[str, GroupScores]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each group; a score that is not defined leaves its cell empty."""
    for name, (count, scores) in grouped.items():
        yield name, str(count), *("" if isnan(value) else f"{value:.6f}" for value in scores.values())
