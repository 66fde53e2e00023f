"""Whether the best trial of a search is better than the declared values, or only the luckiest of many.

Both are trained with the same seeds and folds, and compared on validation images, one by one (see
`pipeline.tasks.paired`); images of several folds are pooled. The best of many trials is likely to be a lucky one, so p
is multiplied by their number (Bonferroni). Test images are not touched: for these, see `python -m pipeline.compare`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.declaration.composition import compose
from pipeline.errors import ConfigError
from pipeline.pages.differences import DifferenceRow, DifferenceTable
from pipeline.runs.context import RunContext
from pipeline.runs.observer import TrainingObserver
from pipeline.sweeps.ledger import Trial
from pipeline.sweeps.objective import finished
from pipeline.tasks.demands import load_demands
from pipeline.tasks.paired import as_row, paired_difference
from pipeline.tasks.task import Resampled
from pipeline.training.evaluated import evaluated_validation
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Trained, open_trained
from pipeline.trials.search import Search

DECLARED = "the declared values"
BEST = "the best trial"

Groups = list[str] | None


def tell_improvement(
    search: Search, trials: Sequence[Trial], best: Trial, context: RunContext, *, entry_point: str
) -> str:
    """Train the declared values like a trial, and return in one sentence how the best trial compares with them.

    Args:
        trials: all of the search.
        best: the best of them.
        context: of its runs.
        entry_point: `dvc` or `sweep`; logged as a tag.
    """
    try:
        declared = _train(search.declared_jobs(), context, entry_point)
    except ConfigError as reason:
        return f"{BEST} is not compared with {DECLARED}, which cannot be trained: {reason}"
    chosen = _train(search.jobs(best.index, best.point), context, entry_point)
    if [run.folder.path for run in declared] == [run.folder.path for run in chosen]:
        return f"{BEST} has {DECLARED}"
    return _compare(search, declared, chosen, num_trials=len(finished(trials)), context=context)


def _train(jobs: Sequence[Sequence[str]], context: RunContext, entry_point: str) -> list[Trained]:
    """Return the runs of some jobs, trained where they are not finished."""
    request = RunRequest(entry_point, DECLARED, waits=True, observer=TrainingObserver(log_artifacts=False))
    return [open_trained(train(compose(job), request, context), root=context.root) for job in jobs]


def _compare(
    search: Search,
    declared: Sequence[Trained],
    chosen: Sequence[Trained],
    *,
    num_trials: int,
    context: RunContext,
) -> str:
    declaration, settings = declared[0].declaration, search.settings
    demands, task = load_demands(declaration.task), declared[0].build_task()
    titles = demands.scores(declaration.data)
    score = (settings.metric or "").removeprefix("val/")
    if score not in titles:  # the loss, or `score`
        score = declared[0].folder.selection(demands.score)["score"]
    before, groups, images = _evidence(declared, context, settings.folds)
    after, _, same_images = _evidence(chosen, context, settings.folds)
    if images != same_images or before.shape != after.shape:
        return f"{BEST} is not compared with {DECLARED}, as it is validated on other images"
    found = paired_difference(
        task.scores,
        score,
        before,
        after,
        seed=search.seed,
        is_share=score in demands.shares,
        groups=groups,
        resampled=task.resampled if isinstance(task, Resampled) else None,
    )
    values = [float(np.mean([task.scores(each)[score] for each in side])) for side in (before, after)]
    seeds = [search.seed + place for place in range(settings.seeds)]
    corrected = min(num_trials * found.p, 1.0)  # in this order, NaN stays
    row = as_row(BEST, values[1], seeds, found, corrected=corrected)
    table = DifferenceTable(
        titles[score],
        demands.mode_of(score) == "max",
        [DifferenceRow(DECLARED, values[0], seeds), row],
        len(images),
        None if groups is None else len(set(groups)),
    )
    p = "" if np.isnan(row.p) else f", p {row.corrected:.2g} for the best of {num_trials} trials"
    return f"{titles[score]} on validation images{p}: {table.verdict(row)}"


def _evidence(
    runs: Sequence[Trained], context: RunContext, folds: int
) -> tuple[NDArray[np.float64], Groups, list[str]]:
    """Return the evidence (S, N, ...) of each seed over the images of all folds; their groups, and their files.

    Args:
        runs: of each seed, those of all folds.
    """
    found = [evaluated_validation(run, root=context.root) for run in runs]
    parts = [evaluated.evidence for evaluated in found]
    evidence = [np.concatenate(parts[start : start + folds]) for start in range(0, len(parts), folds)]
    files = [file for evaluated in found[:folds] for file in evaluated.files]
    groups = [group for evaluated in found[:folds] for group in evaluated.groups or ()]
    return np.stack(evidence), groups or None, files
