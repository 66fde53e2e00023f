"""Comparison of the runs of a sweep or search, logged to their parent: tables, chart, best run."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from pipeline.files import yaml_text
from pipeline.pictures.comparison import draw_comparison
from pipeline.storage.names import escape_cells
from pipeline.tracking.run import TrackedRun, flat

SCORE = "final/score"
BEST_TAG = "convoy.best_of"


@dataclass(frozen=True)
class ComparedRun:
    """A finished run of a sweep.

    Args:
        name: what differs from the other runs.
        run_id: of MLflow.
        folder: of the run, relative to the project's.
        sections: its declaration.
        scores: the validation scores of its kept epoch.
    """

    name: str
    run_id: str
    folder: str
    sections: Mapping[str, Any]
    scores: Mapping[str, float]


def log_comparison(
    parent: TrackedRun,
    runs: Sequence[ComparedRun],
    *,
    best: ComparedRun | None,
    scored: Sequence[tuple[str, Sequence[float]]],
    score: str,
    page: str,
) -> None:
    """Log the results of a sweep to its parent run.

    Logs `comparison.md`, which is also the description of the parent; and if a run has finished, `comparison.csv`,
    `comparison.png`; if there is a best one and its score is defined, also `best_config.yaml`, the tags
    `convoy.best_run` and `convoy.best_name`, and the best score.

    Args:
        runs: the finished ones, best first.
        best: the one that the first row of the comparison shows; None if the runs cannot be ranked.
        scored: the scores of each point, best first; several for runs that differ only in their seed.
        score: which score that is, in words.
        page: the comparison as Markdown.
    """
    parent.log_text(page, "comparison.md")
    parent.log_note(page)
    if not runs:
        return
    parent.log_text(_table(runs), "comparison.csv")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "comparison.png"
        draw_comparison(scored, picture, score=score)
        parent.log_files(picture)
    if best is None or isnan(best.scores["score"]):
        return
    parent.log_text(yaml_text(dict(best.sections)), "best_config.yaml")
    parent.log_scores({SCORE: best.scores["score"]})
    parent.log_tags({"convoy.best_run": best.run_id, "convoy.best_name": best.name})


def log_search(parent: TrackedRun, results: Path, *, best: str, name: str, value: float, page: str) -> None:
    """Log the outcome of a search to its parent run: results, best value, and the run that achieved it.

    Args:
        best: id of the best run.
        name: name of the best point.
        page: the best trials as Markdown, which is also the description of the parent.
    """
    parent.log_files(results)
    parent.log_text(page, "comparison.md")
    parent.log_scores({SCORE: value})
    parent.log_tags({"convoy.best_run": best, "convoy.best_name": name})
    parent.log_note(page)
    if parent.store.has_run(best):
        _tag_best(parent, best)


def _tag_best(parent: TrackedRun, best: str) -> None:
    """Tag one child as the best, and remove the tag from all others."""
    client = parent.store.client
    tagged = client.search_runs([parent.store.experiment_id], f"tags.`{BEST_TAG}` = '{parent.run_id}'")
    for run in tagged:
        client.delete_tag(run.info.run_id, BEST_TAG)
    client.set_tag(best, BEST_TAG, parent.run_id)


def _table(runs: Sequence[ComparedRun]) -> str:
    """Return a CSV file with a row for each run: settings that differ, then scores."""
    settings = [dict(flat(run.sections)) for run in runs]
    names = dict.fromkeys(name for each in settings for name in each)
    differing = sorted(name for name in names if len({each.get(name) for each in settings}) > 1)
    scores = sorted({name for run in runs for name in run.scores})
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(escape_cells(["run", "folder", "mlflow_run", *differing, *scores]))
    for run, each in zip(runs, settings, strict=True):
        cells = [run.name, run.folder, run.run_id, *(each.get(name, "") for name in differing)]
        rows.writerow(escape_cells([*cells, *(run.scores.get(name, "") for name in scores)]))
    return text.getvalue()
