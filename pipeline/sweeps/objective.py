"""The objective of a search: the mean over the trainings of a trial minus its standard error, and the ranking by it.

Shapes: a trial has one value per training; `ranking_score` turns them into one number, higher is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite, sqrt
from statistics import fmean, stdev

from pipeline.sweeps.ledger import Trial


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error, 0 for a single value."""
    return fmean(values), stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0


def ranking_score(trial: Trial, *, direction: str) -> float:
    """Return what a finished trial is ranked by, higher is better: the mean minus its standard error."""
    mean, error = mean_and_error(trial.values)
    return (mean if direction == "maximize" else -mean) - error


def finished(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that have a value, in their order."""
    return [trial for trial in trials if trial.state == "finished" and all(map(isfinite, trial.values))]


def ranked(trials: Iterable[Trial], *, direction: str) -> list[Trial]:
    """Return the finished trials, best first; of equal ones, that of the lower mean loss, then the first."""
    return sorted(
        finished(trials),
        key=lambda trial: (-ranking_score(trial, direction=direction), mean_loss(trial), trial.index),
    )


def mean_loss(trial: Trial) -> float:
    """Return the mean loss over the trainings of a trial; infinite if it is unknown."""
    return fmean(trial.losses) if trial.losses else inf
