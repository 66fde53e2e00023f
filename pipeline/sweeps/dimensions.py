"""Dimensions of a search space: the values of a key, and how a share from 0 to 1 is mapped to one of them.

All samplers draw shares, so they can reach the same values, and a value can be mapped back to its share.
Source: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization", JMLR 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, inf, log
from typing import Any

from pipeline.errors import ConfigError

DIGITS = 6  # of a drawn number, so that a written value is exactly the one used


@dataclass(frozen=True)
class Interval:
    """Numbers between two bounds, both included; integers where `is_integer`.

    Args:
        is_log: whether equal ratios are equally likely, rather than equal differences.
    """

    low: float
    high: float
    is_log: bool = False
    is_integer: bool = False

    def value(self, share: float) -> float | int:
        """Return the value at a share in [0, 1)."""
        found = self.from_unit(share)
        if self.is_integer:
            return min(max(floor(found), int(self.low)), int(self.high))
        return min(max(float(f"{found:.{DIGITS}g}"), self.low), self.high)

    def from_unit(self, share: float) -> float:
        """Return the number at a share, which may lie outside [0, 1], neither rounded nor clipped."""
        low, high = self._scaled(self.low), self._scaled(self.high + self.is_integer)
        found = low + share * (high - low)
        return exp(found) if self.is_log else found

    def to_unit(self, value: float) -> float:
        """Return the share in [0, 1] of a value; for an integer, the middle of its shares."""
        low, high = self._scaled(self.low), self._scaled(self.high + self.is_integer)
        if self.is_integer:
            return (self._scaled(value) / 2 + self._scaled(value + 1) / 2 - low) / (high - low)
        return (self._scaled(value) - low) / (high - low)

    def _scaled(self, value: float) -> float:
        return log(value) if self.is_log else value


@dataclass(frozen=True)
class Choice:
    """Some values, equally likely; `is_ordered` where neighbours are similar, as in a range of numbers."""

    values: tuple[Any, ...]
    is_ordered: bool = False

    def value(self, share: float) -> Any:
        """Return the value at a share in [0, 1)."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def to_unit(self, value: Any) -> float:
        """Return the middle of the shares of a value."""
        return (self.values.index(value) + 0.5) / len(self.values)


Dimension = Interval | Choice


@dataclass(frozen=True)
class Entry:
    """One key of a space.

    Args:
        key: a config path or a config group.
        when: (another key of the space, the value it must have), or None for an unconditional entry.
    """

    key: str
    dimension: Dimension
    when: tuple[str, Any] | None = None


def check_interval(key: str, interval: Interval) -> Interval:
    """Check that an interval contains a number.

    Raises:
        ConfigError: it is empty, reversed or infinite, or logarithmic with a bound at or below 0.
    """
    if not -inf < interval.low < interval.high < inf:
        raise ConfigError(
            f"search.space.{key}",
            "the bounds of an interval must be finite and in ascending order",
            got=(interval.low, interval.high),
            hint="write the lower bound first",
        )
    if interval.is_log and interval.low <= 0:
        raise ConfigError(
            f"search.space.{key}",
            "the bounds of a logarithmic interval must be above 0",
            got=(interval.low, interval.high),
            hint="raise the lower bound, or remove the tag log",
        )
    return interval


def check_choice(key: str, choice: Choice) -> Choice:
    """Check that a choice has alternatives.

    Raises:
        ConfigError: it has fewer than two different values.
    """
    if len({repr(value) for value in choice.values}) < max(2, len(choice.values)):
        raise ConfigError(
            f"search.space.{key}",
            "a choice needs at least two values, all of them different",
            got=list(choice.values),
            hint="remove duplicates, or set a fixed value in the declaration",
        )
    return choice
