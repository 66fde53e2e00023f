"""Importance of the keys of a space: permutation importance in a random forest (Breiman 2001, section 10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.sweeps.dimensions import Entry

FEWEST = 10  # trials; with fewer, a forest fits the noise
REPEATS = 20
ABSENT = -1.0  # share of a key whose condition was not met


def importances(
    entries: Sequence[Entry], points: Sequence[dict[str, Any]], values: Sequence[float]
) -> dict[str, float]:
    """Return for each key how much worse the forest predicts when its values are shuffled, normalised to sum to 1.

    Returns:
        An empty mapping if there are fewer than ten trials, or all have the same value.
    """
    if len(points) < FEWEST or np.ptp(values) == 0:
        return {}
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    table = np.array([[share_at(entry, point) for entry in entries] for point in points])
    forest = RandomForestRegressor(n_estimators=100, random_state=0).fit(table, values)
    found = permutation_importance(forest, table, values, n_repeats=REPEATS, random_state=0).importances_mean
    found = np.maximum(found, 0)
    return {entry.key: float(share) for entry, share in zip(entries, found / (found.sum() or 1), strict=True)}


def share_at(entry: Entry, point: dict[str, Any]) -> float:
    """Return the share of a key at a point; below 0 if the key is inactive there."""
    return entry.dimension.to_unit(point[entry.key]) if entry.key in point else ABSENT
