"""Coarse to fine: the space around the best trials so far.

An interval shrinks to the span of its best values with a margin, on its own scale (logarithmic where it is); where they
lie at a bound, it is moved beyond it instead, with a note. A choice keeps what the best trials chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Any

from pipeline.errors import ConfigError
from pipeline.sweeps.dimensions import DIGITS, Choice, Dimension, Entry, Interval

MARGIN = 0.1  # of the interval's length, on either side of the span of the best
EDGE = 0.05  # shares this close to a bound lie at it


def refined(entries: Sequence[Entry], best: Sequence[dict[str, Any]]) -> tuple[list[Entry], list[str]]:
    """Return the space around some points, and notes on where it was widened.

    Args:
        best: the points of the best trials.

    Raises:
        ConfigError: there is no point to go by.
    """
    if not best:
        raise ConfigError("search.after: that search has no finished trial to go by; let it run first")
    notes: list[str] = []
    found = []
    for entry in entries:
        values = [point[entry.key] for point in best if entry.key in point]
        dimension = _around(entry, values, notes) if values else entry.dimension
        found.append(replace(entry, dimension=dimension))
    return found, notes


def top(count: int, *, share: float) -> int:
    """Return how many of the trials are the best: a share of them, at least two."""
    return min(count, max(2, ceil(count * share)))


def _around(entry: Entry, values: Sequence[Any], notes: list[str]) -> Dimension:
    dimension = entry.dimension
    if isinstance(dimension, Choice):
        kept = tuple(value for value in dimension.values if value in values)
        return replace(dimension, values=kept)
    shares = sorted(min(max(dimension.share(value), 0.0), 1.0) for value in values)
    low, high = max(shares[0] - MARGIN, 0), min(shares[-1] + MARGIN, 1)
    half = max(high - low, MARGIN) / 2
    if shares[len(shares) // 2] < EDGE:
        low = -half
    elif shares[len(shares) // 2] > 1 - EDGE:
        high = 1 + half
    bounds = _bounds(dimension, low, high)
    if bounds.low < dimension.low or bounds.high > dimension.high:
        notes.append(
            f"{entry.key}: the best lie at a bound of {dimension.low:g} to {dimension.high:g}, so it is widened to "
            f"{bounds.low:g} to {bounds.high:g}"
        )
    return bounds


def _bounds(interval: Interval, low: float, high: float) -> Interval:
    """Return the interval between two shares, which may lie beyond 0 and 1."""
    low_end, high_end = interval.at(low), interval.at(high)
    if interval.low >= 0:
        low_end = max(low_end, 0)  # what starts at 0, such as a share or a penalty, means nothing below
    if not interval.is_integer:
        return replace(interval, low=float(f"{low_end:.{DIGITS}g}"), high=float(f"{high_end:.{DIGITS}g}"))
    least = max(floor(low_end), 1) if interval.is_log else floor(low_end)
    return replace(interval, low=least, high=max(ceil(high_end) - 1, least + 1))
