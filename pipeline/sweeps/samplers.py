"""Samplers: which point of the space a trial evaluates.

For the random sampler, each value of trial i is a function of (seed, i, key) alone: adding trials or keys never changes
the other values. The other samplers depend on the whole space, and TPE also on the trials before it.
Sources: random, Bergstra and Bengio 2012; quasi-random, Sobol 1967, scrambled; TPE, Bergstra et al. 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any, Protocol

import numpy as np

from pipeline.errors import ConfigError
from pipeline.sweeps.dimensions import Choice, Dimension, Entry, Interval

Point = dict[str, Any]

MOST_POINTS = 100_000  # of a grid
START = 10  # random trials before TPE starts


class Sampler(Protocol):
    """A strategy that proposes points.

    Args:
        learns: whether a point depends on the outcomes of the trials before it.
    """

    learns: bool

    def knows(self, index: int, num_observations: int) -> bool:
        """Return whether the point of trial `index` is determined after that many observations."""
        ...

    def point(self, index: int, observations: Sequence[tuple[Point, float]]) -> Point:
        """Return the point of trial `index`; `observations` are the points and scores of trials before it."""
        ...


class NonAdaptive:
    """A sampler that ignores the outcomes of earlier trials."""

    learns = False

    def knows(self, index: int, num_observations: int) -> bool:  # noqa: ARG002
        """Return True: every point is fixed from the start."""
        return True


class Random(NonAdaptive):
    """Draw every key of every trial independently."""

    def __init__(self, entries: Sequence[Entry], *, seed: int) -> None:
        self._entries = entries
        self._seed = seed

    def point(self, index: int, observations: Sequence[tuple[Point, float]]) -> Point:  # noqa: ARG002
        """Return the point of trial `index`."""
        shares = {entry.key: draw_unit(self._seed, index, entry.key) for entry in self._entries}
        return point_at(self._entries, shares)


class Grid(NonAdaptive):
    """Try every combination of the values; the last key varies fastest.

    Raises:
        ConfigError: a continuous interval cannot be enumerated.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        for entry in entries:
            if isinstance(entry.dimension, Interval) and not entry.dimension.is_integer:
                raise ConfigError(
                    f"search.space.{entry.key}",
                    "a grid cannot enumerate a continuous interval",
                    got=(entry.dimension.low, entry.dimension.high),
                    hint="write choice(...) or range(start, stop, step), or use search.sampler=random",
                )
        count = prod(_count(entry.dimension) for entry in entries)
        if count > MOST_POINTS:
            raise ConfigError(
                "search.space",
                f"a grid lists every combination of values, and there are {count:,}",
                got=[entry.key for entry in entries],
                hint=f"remove some (at most {MOST_POINTS:,}), or use search.sampler=random",
            )
        self._points = self._distinct()

    def __len__(self) -> int:
        return len(self._points)

    def point(self, index: int, observations: Sequence[tuple[Point, float]]) -> Point:  # noqa: ARG002
        """Return the point of trial `index`."""
        return self._points[index]

    def _distinct(self) -> list[Point]:
        """Return every combination once: keys that are inactive at a point add none."""
        points: dict[str, Point] = {}
        for values in product(*map(_values, self._entries)):
            point = _counting(self._entries, values)
            points.setdefault(repr(point), point)
        return list(points.values())


class QuasiRandom(NonAdaptive):
    """Spread the points evenly by Sobol's sequence, scrambled by the seed; its dimensions are the keys in order."""

    def __init__(self, entries: Sequence[Entry], *, seed: int) -> None:
        self._entries = entries
        self._seed = seed

    def point(self, index: int, observations: Sequence[tuple[Point, float]]) -> Point:  # noqa: ARG002
        """Return the point of trial `index`."""
        from scipy.stats import qmc

        sequence = qmc.Sobol(len(self._entries), scramble=True, rng=np.random.default_rng(self._seed))
        if index:  # fast_forward(0) is an error
            sequence.fast_forward(index)
        (shares,) = sequence.random(1)
        keys = (entry.key for entry in self._entries)
        return point_at(self._entries, dict(zip(keys, shares.tolist(), strict=True)))


class Tpe:
    """Propose points that resemble the better trials so far rather than the worse (tree-structured Parzen estimator).

    The first trials are those of the random sampler.
    """

    learns = True

    def __init__(self, entries: Sequence[Entry], *, seed: int) -> None:
        self._entries = entries
        self._seed = seed
        self._random = Random(entries, seed=seed)

    def knows(self, index: int, num_observations: int) -> bool:
        """Return whether all trials before this one have been observed, or it is one of the first."""
        return num_observations == index or index < START

    def point(self, index: int, observations: Sequence[tuple[Point, float]]) -> Point:
        """Return the point of trial `index`, given all observations; higher is better."""
        if len(observations) < START:
            return self._random.point(index, observations)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(np.random.SeedSequence([self._seed, index]).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        spread = {entry.key: _distribution(entry) for entry in self._entries}
        for point, value in observations:
            shares = {
                entry.key: _asked(entry, point[entry.key]) for entry in self._entries if entry.key in point
            }
            known = {key: spread[key] for key in shares}
            study.add_trial(optuna.trial.create_trial(params=shares, distributions=known, value=value))
        asked = study.ask(spread).params
        return point_at(
            self._entries, {entry.key: _share(entry, asked[entry.key]) for entry in self._entries}
        )


def make_sampler(name: str, entries: Sequence[Entry], *, seed: int) -> Sampler:
    """Return a sampler by its name."""
    if name == "grid":
        return Grid(entries)
    seeded: dict[str, Callable[..., Sampler]] = {"random": Random, "qmc": QuasiRandom, "tpe": Tpe}
    return seeded[name](entries, seed=seed)


def _is_unordered(entry: Entry) -> bool:
    return isinstance(entry.dimension, Choice) and not entry.dimension.is_ordered


def _distribution(entry: Entry) -> Any:
    """Return the distribution that Optuna draws a key from: the index of an unordered value, else a share."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if _is_unordered(entry):
        assert isinstance(entry.dimension, Choice)
        return CategoricalDistribution(range(len(entry.dimension.values)))
    return FloatDistribution(0.0, 1.0)


def _asked(entry: Entry, value: Any) -> float:
    """Return the number that Optuna drew for a value."""
    if _is_unordered(entry):
        assert isinstance(entry.dimension, Choice)
        return entry.dimension.values.index(value)
    return entry.dimension.to_unit(value)


def _share(entry: Entry, asked: float) -> float:
    """Return the share for a number that Optuna drew."""
    if _is_unordered(entry):
        assert isinstance(entry.dimension, Choice)
        return (asked + 0.5) / len(entry.dimension.values)
    return min(asked, 1 - 1e-12)


def draw_unit(seed: int, index: int, key: str) -> float:
    """Return a random share in [0, 1) that depends on seed, trial and key alone."""
    return float(np.random.default_rng([seed, index, *key.encode()]).random())


def point_at(entries: Sequence[Entry], shares: dict[str, float]) -> Point:
    """Return the values at some shares; keys whose condition is not met are left out."""
    return _counting(entries, [entry.dimension.value(shares[entry.key]) for entry in entries])


def _counting(entries: Sequence[Entry], values: Sequence[Any]) -> Point:
    """Return the point of some values without inactive keys: those whose condition, or that of its key, is not met."""
    drawn = {entry.key: (entry, value) for entry, value in zip(entries, values, strict=True)}

    def counts(entry: Entry) -> bool:
        if entry.when is None:
            return True
        other, value = drawn[entry.when[0]]
        return value == entry.when[1] and counts(other)

    return {key: value for key, (entry, value) in drawn.items() if counts(entry)}


def _values(entry: Entry) -> Sequence[Any]:
    """Return all values of a choice, or of an interval of integers."""
    dimension = entry.dimension
    if isinstance(dimension, Choice):
        return dimension.values
    return range(int(dimension.low), int(dimension.high) + 1)


def _count(dimension: Dimension) -> int:
    """Return the number of values of a choice, or of an interval of integers."""
    if isinstance(dimension, Choice):
        return len(dimension.values)
    return int(dimension.high) - int(dimension.low) + 1
