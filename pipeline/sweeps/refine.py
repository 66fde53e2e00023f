"""Coarse to fine: the space around the best trials so far.

An interval shrinks to the range of its best values plus a margin, on its own (linear or logarithmic) scale; if they
are at a bound, it is extended beyond it instead, with a note. A choice keeps the values of the best trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Any

from pipeline.sweeps.dimensions import DIGITS, Choice, Dimension, Entry, Interval

MARGIN = 0.1  # of the interval's length, on either side of the range of the best values
EDGE = 0.05  # shares this close to a bound count as being at it


def refined(entries: Sequence[Entry], best: Sequence[dict[str, Any]]) -> tuple[list[Entry], list[str]]:
    """Return the space around some points, and notes on where it was widened.

    Args:
        best: the points of the best trials, at least one.
    """
    assert best
    notes: list[str] = []
    found = []
    for entry in entries:
        values = [point[entry.key] for point in best if entry.key in point]
        values = [value for value in values if _can_be(entry.dimension, value)]
        dimension = _around(entry, values, notes) if values else entry.dimension
        found.append(replace(entry, dimension=dimension))
    return found, notes


def joined(spaces: Sequence[Sequence[Entry]]) -> list[Entry]:
    """Return the union of several spaces of the same keys: intervals from their lowest to their highest bound."""
    found = []
    for entries in zip(*spaces, strict=True):
        first = entries[0]
        intervals = [entry.dimension for entry in entries if isinstance(entry.dimension, Interval)]
        if intervals and isinstance(first.dimension, Interval):
            low, high = min(each.low for each in intervals), max(each.high for each in intervals)
            first = replace(first, dimension=replace(first.dimension, low=low, high=high))
        found.append(first)
    return found


def top(count: int, *, share: float) -> int:
    """Return how many of the trials count as the best: a share of them, at least two."""
    return min(count, max(2, ceil(count * share)))


def _can_be(dimension: Dimension, value: Any) -> bool:
    """Return whether a value, possibly drawn from another space, can be placed on a dimension."""
    if isinstance(dimension, Choice):
        return value in dimension.values
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (value > 0 or not dimension.is_log)


def _around(entry: Entry, values: Sequence[Any], notes: list[str]) -> Dimension:
    dimension = entry.dimension
    if isinstance(dimension, Choice):
        kept = tuple(value for value in dimension.values if value in values)
        return replace(dimension, values=kept)
    shares = sorted(min(max(dimension.to_unit(value), 0.0), 1.0) for value in values)
    low, high = max(shares[0] - MARGIN, 0), min(shares[-1] + MARGIN, 1)
    half = max(high - low, MARGIN) / 2
    middle = sorted(values)[len(values) // 2]
    if is_at_edge(dimension, middle) < 0:
        low = -half
    elif is_at_edge(dimension, middle) > 0:
        high = 1 + half
    bounds = _bounds(dimension, low, high)
    if bounds.low < dimension.low or bounds.high > dimension.high:
        notes.append(
            f"{entry.key}: the best lie at a bound of {dimension.low:g} to {dimension.high:g}, so it is widened to "
            f"{bounds.low:g} to {bounds.high:g}"
        )
    return bounds


def is_at_edge(interval: Interval, value: float) -> int:
    """Return -1 for a value at the lower bound of an interval or below, 1 at the upper or above, else 0."""
    if interval.is_integer:
        return int(value >= interval.high) - int(value <= interval.low)
    share = interval.to_unit(value) if value > 0 or not interval.is_log else 0.0
    return int(share > 1 - EDGE) - int(share < EDGE)


def _bounds(interval: Interval, low: float, high: float) -> Interval:
    """Return the interval between two shares, which may lie outside [0, 1]."""
    low_end, high_end = interval.from_unit(low), interval.from_unit(high)
    if interval.low >= 0:
        low_end = max(low_end, 0)  # such as fractions or penalties
        if interval.high <= 1 and not interval.is_log:
            high_end = min(high_end, 1)  # such as fractions
    if not interval.is_integer:
        return replace(interval, low=float(f"{low_end:.{DIGITS}g}"), high=float(f"{high_end:.{DIGITS}g}"))
    least = max(floor(low_end), 1) if interval.low >= 1 else floor(low_end)
    return replace(interval, low=least, high=max(ceil(high_end) - 1, least + 1))
