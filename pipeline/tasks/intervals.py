"""Bootstrap intervals of scores over the samples of a split.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3 (percentile interval).
It holds the trained weights fixed: it says how much the test images matter, not how much the seed does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.tasks.task import Evidence

RESAMPLES = 1000
COVERED = 0.95


def with_intervals(
    scores: Callable[[Evidence], dict[str, float]], evidence: Evidence, *, seed: int
) -> dict[str, dict[str, float]]:
    """Return each score with the bounds of its 95 % percentile bootstrap interval.

    Args:
        scores: evidence (N, E) -> score by name.
        seed: the same seed and evidence always give the same bounds.

    Returns:
        Score -> {value, low, high}; bounds are NaN where the score is in every resample.
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
