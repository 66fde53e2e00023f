"""The settings of a search, as the `search` section of the config states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.errors import ConfigError, closest
from pipeline.sweeps.pruners import PRUNERS

SAMPLERS = ("random", "grid", "qmc", "tpe")
DIRECTIONS = ("maximize", "minimize")
# What may change while a search goes on; all else belongs to its identity.
FREE = ("retries", "trial")


@dataclass(frozen=True)
class SearchSettings:
    """What is searched, how, and for how long.

    Args:
        name: of the search; with the experiment's name it says which trials belong together.
        space: key -> what it may be, in Hydra's words: choice(a, b), interval(0.1, 1), int(interval(1, 8)),
            range(1, 9, 2), tag(log, interval(1.0e-4, 1.0e-1)); or {draw: <these>, when: <other key>=<value>}. A key is
            a config path or a config group. Empty where nothing is searched.
        trials: how many points are tried in all, those of an interrupted search included.
        rounds: the trials are cut into so many; from the second on, the space is drawn around the best trials so far.
        keep: share of the trials so far (or of the search that `from` names) that are its best.
        metric: what a trial is judged by, as `metrics.json` names it; null for the score of the task.
        direction: maximize or minimize.
        seed: decides the points.
        sampler: random, grid, qmc or tpe.
        seeds: trainings of each point, from the declared seed on; their mean minus its standard error is what counts.
        folds: likewise, over so many parts of train and val together, each validated on once; 1 for the split as it is.
        pruner: what stops a training early that goes worse than earlier ones: none, median, halving or hyperband.
        warmup: epochs before a training is judged the first time.
        factor: one in so many trainings goes on at each judgement of halving and hyperband.
        parallel: how many trials are launched together; Hydra's launcher runs them.
        retries: how often a trial that was killed is started again before it counts as failed.
        trial: set by a search itself: the number of the trial that a run is; null in what a user writes.
    """

    name: str
    space: dict[str, Any]
    trials: int
    rounds: int
    keep: float
    metric: str | None
    direction: str
    seed: int
    sampler: str
    seeds: int
    folds: int
    pruner: str
    warmup: int
    factor: int
    parallel: int
    retries: int
    trial: int | None

    def __post_init__(self) -> None:
        """Refuse settings out of their range, by name."""
        least = {"trials": 1, "rounds": 1, "seeds": 1, "folds": 1, "warmup": 1, "factor": 2, "parallel": 1}
        for key, value in (least | {"retries": 0, "seed": 0}).items():
            if getattr(self, key) < value:
                raise ConfigError(f"search.{key} must be at least {value}, got {getattr(self, key)}")
        if not 0 < self.keep <= 1:
            raise ConfigError(f"search.keep must be above 0 and at most 1, got {self.keep}")
        for key, allowed in (("sampler", SAMPLERS), ("direction", DIRECTIONS), ("pruner", PRUNERS)):
            if getattr(self, key) not in allowed:
                named = closest(getattr(self, key), allowed)
                raise ConfigError(f"search.{key}: unknown {key} '{getattr(self, key)}'; {named}")
        if not self.name or "/" in self.name:
            raise ConfigError(f"search.name must be a word that can name a folder, got {self.name!r}")
        self._check_together()

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> SearchSettings:
        """Return the settings of a checked config section."""
        return cls(**section)

    def identity(self) -> dict[str, Any]:
        """Return what makes it this search; how many trials, in all and at once, where that changes a point."""
        free = {*FREE}
        if self.rounds == 1:
            free.add("trials")
        if self.sampler != "tpe" and self.pruner == "none":
            free.add("parallel")
        return {key: value for key, value in vars(self).items() if key not in free}

    def rounds_of_trials(self) -> list[range]:
        """Return the trials of each round, as even as can be."""
        ends = [self.trials * number // self.rounds for number in range(self.rounds + 1)]
        return [range(start, end) for start, end in pairwise(ends)]

    def batch_start(self, index: int) -> int:
        """Return the first trial of those that a trial is launched with; what came of earlier ones is known to it."""
        (indices,) = (indices for indices in self.rounds_of_trials() if index in indices)
        return index - (index - indices.start) % self.parallel

    def _check_together(self) -> None:
        """Refuse settings that contradict each other."""
        for key, drawn in (("seeds", "seed"), ("folds", "data.fold")):
            if getattr(self, key) > 1 and any(each.startswith(drawn) for each in self.space):
                raise ConfigError(
                    f"search.{key}: the space draws {drawn} too; remove it there, or set search.{key}=1"
                )
        if self.rounds > 1 and self.sampler not in ("random", "qmc"):
            raise ConfigError(
                f"search.rounds: {self.sampler} does not draw from a space that narrows; use search.sampler=random or "
                "qmc, or search.rounds=1"
            )
        if self.rounds > self.trials:
            raise ConfigError(
                f"search.rounds: {self.trials} trials cannot be cut into {self.rounds} rounds; raise search.trials"
            )
