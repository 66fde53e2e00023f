"""The settings of a search, as given in the section `search`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

from pipeline.errors import ConfigError, Range
from pipeline.storage.names import check_name
from pipeline.sweeps.pruners import PRUNERS

SAMPLERS = ("random", "grid", "qmc", "tpe")
DIRECTIONS = ("maximize", "minimize")
# Settings that may change when a search is resumed; all others belong to its identity.
FREE = ("retries", "trial")
# Largest numbers; lists of these lengths are made, and the files of trials are numbered by five digits.
MOST = {
    "trials": 100_000,
    "seeds": 1000,
    "folds": 1000,
    "parallel": 1000,
    "retries": 1000,
    "warmup": 1_000_000,
}
MOST_TRAININGS = 10_000  # of one point


@dataclass(frozen=True)
class SearchSettings:
    """The space of a search, the sampler and pruner, and the number of trials.

    Args:
        name: of the search; with the experiment's name, it identifies the trials that belong together.
        space: key -> its values, in Hydra's syntax: choice(a, b), interval(0.1, 1), int(interval(1, 8)),
            range(1, 9, 2), tag(log, interval(1.0e-4, 1.0e-1)); or {draw: <these>, when: <other key>=<value>}. A key is
            a config path or a config group. Empty without a search.
        trials: total number of points to try, including those of an interrupted search; at most 100,000.
        rounds: number of rounds into which the trials are divided; from the second on, the space narrows around the
            best trials so far.
        keep: share of the trials so far (or of the search that `from` names) that count as the best.
        metric: the objective, as named in `metrics.json`; null for the score that selects epochs, see `trainer.select`.
        direction: maximize or minimize.
        seed: seed of the sampler.
        sampler: random, grid, qmc or tpe.
        seeds: number of trainings per point, with consecutive seeds from the declared one; points are ranked by their
            mean minus its standard error. At most 1000, and 10,000 with folds.
        folds: likewise, over the folds of train and val together, each validated on once; 1 for the declared split.
        pruner: rule to stop trainings that are worse than earlier ones: none, median, halving or hyperband.
        warmup: epochs before the first decision of a pruner.
        factor: one in `factor` trainings continues at each rung of halving and hyperband.
        parallel: number of trials to launch together with Hydra's launcher.
        retries: number of times that a killed trial is restarted before it counts as failed.
        trial: index of the trial, set by the search itself; null in configs written by users.
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
        """Raise if settings are out of range."""
        least = {"trials": 1, "rounds": 1, "seeds": 1, "folds": 1, "warmup": 1, "factor": 2, "parallel": 1}
        for key, value in (least | {"retries": 0}).items():
            Range(least=value, most=MOST.get(key, inf)).check(f"search.{key}", getattr(self, key))
        Range(least=0, most=2**32 - 1).check("search.seed", self.seed)
        Range(above=0, most=1).check("search.keep", self.keep)
        for key, allowed in (("sampler", SAMPLERS), ("direction", DIRECTIONS), ("pruner", PRUNERS)):
            if getattr(self, key) not in allowed:
                raise ConfigError.unknown(f"search.{key}", getattr(self, key), allowed, what=key)
        check_name("search.name", self.name)
        self._check_together()

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> SearchSettings:
        """Return the settings of a checked config section."""
        return cls(**section)

    def identity(self) -> dict[str, Any]:
        """Return the settings that identify the search; the numbers of trials only where they change a point."""
        free = {*FREE}
        if self.rounds == 1:
            free.add("trials")
        if self.sampler != "tpe" and self.pruner == "none":
            free.add("parallel")
        return {key: value for key, value in vars(self).items() if key not in free}

    def rounds_of_trials(self) -> list[range]:
        """Return the trials of each round, divided as evenly as possible."""
        ends = [self.trials * number // self.rounds for number in range(self.rounds + 1)]
        return [range(start, end) for start, end in pairwise(ends)]

    def batch_start(self, index: int) -> int:
        """Return the first trial of a trial's batch, which may use the outcomes of the batches before it."""
        (indices,) = (indices for indices in self.rounds_of_trials() if index in indices)
        return index - (index - indices.start) % self.parallel

    def _check_together(self) -> None:
        """Raise if settings contradict each other."""
        for key, drawn in (("seeds", "seed"), ("folds", "data.fold")):
            if getattr(self, key) > 1 and any(each.startswith(drawn) for each in self.space):
                raise ConfigError(
                    f"search.{key}",
                    f"search.space samples {drawn}, too",
                    got=getattr(self, key),
                    hint=f"remove {drawn} from search.space, or set search.{key}=1",
                )
        if self.seeds * self.folds > MOST_TRAININGS:
            raise ConfigError(
                "search.seeds",
                f"{self.seeds} seeds in {self.folds} folds make more than {MOST_TRAININGS} trainings of each point",
                got=self.seeds,
                hint="lower search.seeds or search.folds",
            )
        if self.rounds > 1 and self.sampler not in ("random", "qmc"):
            raise ConfigError(
                "search.rounds",
                f"the sampler {self.sampler} does not support a space that narrows between rounds",
                got=self.rounds,
                hint="use search.sampler=random or qmc, or search.rounds=1",
            )
        if self.rounds > self.trials:
            raise ConfigError(
                "search.rounds",
                got=self.rounds,
                allowed=f"at most search.trials={self.trials}",
                hint="choose fewer rounds, or raise search.trials",
            )
