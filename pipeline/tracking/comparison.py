"""Comparison of the children of a sweep, logged to their parent: table, chart, best child, means over seeds."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mlflow.entities import Run, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.errors import warn
from pipeline.pictures.comparison import draw_comparison
from pipeline.storage.names import escape_cells
from pipeline.tasks.intervals import Bounds, mean_interval
from pipeline.tracking.run import BASELINE, SCORE_TAG, TrackedRun

SCORE, LOSS = "final/score", "final/loss"
BEST_TAG = "convoy.best_of"


def log_comparison(parent: TrackedRun, *, mode: str, bounds: Bounds | None = None) -> str:
    """Log the results of the finished children of a parent, best first; of equal scores, the lower loss is better.

    Logs `comparison.csv`, `comparison.png`, `best_config.yaml`, the tags `convoy.best_run` and `convoy.best_name`, and
    the best score as a metric; also `over_seeds.md` if some children differ only in their seed.

    Children that are judged by different scores are only listed.

    Args:
        mode: `max` if a higher score is better, `min` if a lower one is.
        bounds: the least and the greatest value that the score can have, which no interval crosses; None for no bounds.

    Returns:
        The contents of `over_seeds.md`; empty if it is not written.
    """
    client, sign = parent.store.client, {"max": 1, "min": -1}[mode]
    children = _finished_children(parent, sign)
    if not children:
        return ""
    differing = _differing(children)
    parent.log_text(_table(children, differing), "comparison.csv")
    scores = sorted({run.data.tags.get(SCORE_TAG, "score") for run in children})
    if len(scores) > 1:
        warn(
            f"the runs of this sweep are judged by different scores, {' and '.join(scores)}, and not ranked; set "
            "trainer.select to rank them"
        )
        return ""
    score = scores[0] + _guesses(children)
    seeds = _over_seeds(children, differing)
    seeds.sort(key=lambda group: _rank(group[1], sign), reverse=True)
    means = _means(seeds, bounds, score) if len(seeds) < len(children) else ""
    if means:
        parent.log_text(means, "over_seeds.md")
        scored = seeds
    else:
        scored = [(_label(run, differing), [run.data.metrics[SCORE]]) for run in children]
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "comparison.png"
        draw_comparison(scored, picture, score=score)
        parent.log_files(picture)
        best = client.download_artifacts(children[0].info.run_id, "config.yaml", folder)
        parent.log_text(Path(best).read_text(encoding="utf-8"), "best_config.yaml")
    parent.log_scores({SCORE: children[0].data.metrics[SCORE]})
    best_run = children[0].info
    parent.log_tags({"convoy.best_run": best_run.run_id, "convoy.best_name": best_run.run_name or ""})
    return means


def _finished_children(parent: TrackedRun, sign: int) -> list[Run]:
    """Return the children that have a score, best first."""
    found = parent.store.client.search_runs(
        [parent.store.experiment_id],
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.run_id}'",
        ViewType.ACTIVE_ONLY,
    )
    children = [run for run in found if SCORE in run.data.metrics]
    return sorted(
        children,
        key=lambda run: (_rank([run.data.metrics[SCORE]], sign), -run.data.metrics.get(LOSS, np.inf)),
        reverse=True,
    )


def log_search(parent: TrackedRun, results: Path, *, best: str, name: str, value: float) -> None:
    """Log the outcome of a search to its parent run: results, best value, and the run that achieved it.

    Args:
        best: id of the best run.
        name: name of the best point.
    """
    parent.log_files(results)
    parent.log_scores({SCORE: value})
    parent.log_tags({"convoy.best_run": best, "convoy.best_name": name})
    if parent.store.has_run(best):
        _tag_best(parent, best)


def _tag_best(parent: TrackedRun, best: str) -> None:
    """Tag one child as the best, and remove the tag from all others."""
    client = parent.store.client
    tagged = client.search_runs([parent.store.experiment_id], f"tags.`{BEST_TAG}` = '{parent.run_id}'")
    for run in tagged:
        client.delete_tag(run.info.run_id, BEST_TAG)
    client.set_tag(best, BEST_TAG, parent.run_id)


def _over_seeds(children: list[Run], differing: list[str]) -> list[tuple[str, list[float]]]:
    """Return the scores of children that differ only in their seed, by their common name."""
    groups: dict[tuple[str | None, ...], list[Run]] = {}
    for run in children:
        alike = tuple(run.data.params.get(name) for name in differing if name != "seed")
        groups.setdefault(alike, []).append(run)
    return [(_shared_name(runs), [run.data.metrics[SCORE] for run in runs]) for runs in groups.values()]


def _shared_name(runs: list[Run]) -> str:
    """Return the name of runs without their seed."""
    words = [word for word in (runs[0].info.run_name or "").split() if not word.startswith("seed=")]
    return " ".join(words) or "all"


def _guesses(children: list[Run]) -> str:
    """Return what always guessing the majority class scores, in words; empty if it is unknown, or if runs differ."""
    guesses = {run.data.metrics.get(BASELINE) for run in children}
    (guess,) = guesses if len(guesses) == 1 else {None}
    return "" if guess is None else f" (always guessing the majority class: {guess:.4f})"


def _means(seeds: list[tuple[str, list[float]]], bounds: Bounds | None, score: str) -> str:
    """Return a Markdown table: name, number of seeds, mean score, and its 95 % interval.

    Args:
        score: what is compared, in words.
    """
    lines = [f"| run | seeds | mean {score} | 95 % interval |", "|---|---|---|---|"]
    for name, scores in seeds:
        mean, low, high = mean_interval(scores, bounds=bounds)
        lines.append(f"| {name} | {len(scores)} | {mean:.4f} | {low:.4f} to {high:.4f} |")
    return "\n".join(lines) + "\n"


def _rank(scores: Sequence[float], sign: int) -> float:
    """Return a sort key by mean score, best last; NaN sorts first."""
    return float(np.nan_to_num(sign * np.mean(scores), nan=-np.inf))


def _differing(children: list[Run]) -> list[str]:
    """Return the params whose values differ between children."""
    names = {name for run in children for name in run.data.params}
    return sorted(n for n in names if len({run.data.params.get(n) for run in children}) > 1)


def _table(children: list[Run], differing: list[str]) -> str:
    scores = sorted({name for run in children for name in run.data.metrics if name.startswith("final/")})
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(escape_cells(["run", *differing, "selected by", *scores]))
    for run in children:
        params, metrics = run.data.params, run.data.metrics
        cells = [
            *(params.get(name, "") for name in differing),
            run.data.tags.get(SCORE_TAG, ""),
            *(metrics.get(name, "") for name in scores),
        ]
        rows.writerow([run.info.run_id, *escape_cells(cells)])
    return text.getvalue()


def _label(run: Run, differing: list[str]) -> str:
    short = [name for name in differing if len(run.data.params.get(name, "")) <= 24]
    return "  ".join(f"{name.split('.')[-1]} {run.data.params.get(name, '')}" for name in short)
