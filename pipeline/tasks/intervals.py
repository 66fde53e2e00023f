"""Confidence intervals of scores: over the samples of a split, and over repeated trainings.

The percentile bootstrap (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3) is computed for
fixed weights: it quantifies the variation due to the test images. The variation due to the seed is quantified by
Student's interval of the mean over trainings with several seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.tasks.task import Evidence

Interval = dict[str, float]  # value, low, high

RESAMPLES = 1000
COVERED = 0.95


def with_intervals(
    scores: Callable[[Evidence], dict[str, float]], evidence: Evidence, *, seed: int
) -> dict[str, Interval]:
    """Return each score with the bounds of its 95 % percentile bootstrap interval.

    Args:
        scores: maps evidence (N, E) to scores by name.
        seed: the same seed and evidence always give the same bounds.

    Returns:
        Score -> {value, low, high}; bounds are NaN if the score is NaN in every resample.
    """
    random = np.random.default_rng(seed)
    draws: list[Mapping[str, float]] = [
        scores(evidence[random.integers(0, len(evidence), len(evidence))]) for _ in range(RESAMPLES)
    ]
    tails = [(1 - COVERED) / 2, (1 + COVERED) / 2]
    intervals = {}
    for name, value in scores(evidence).items():
        values = np.array([draw[name] for draw in draws])
        values = values[~np.isnan(values)]
        low, high = np.quantile(values, tails) if values.size else (np.nan, np.nan)
        intervals[name] = {"value": value, "low": float(low), "high": float(high)}
    return intervals


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and bounds of Student's 95 % interval of the mean; NaN bounds for a single value."""
    from scipy.stats import t as student

    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(student.ppf((1 + COVERED) / 2, count - 1) * np.std(values, ddof=1) / count**0.5)
    return mean, mean - half, mean + half
