"""The settings of a search, as the `search` section of the config states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError, closest

SAMPLERS = ("random", "grid", "qmc", "tpe")
DIRECTIONS = ("maximize", "minimize")
# What may change while a search goes on; all else belongs to its identity.
FREE = ("trials", "retries", "plan")


@dataclass(frozen=True)
class SearchSettings:
    """What is searched, how, and for how long.

    Args:
        name: of the search; with the experiment's name it says which trials belong together.
        space: key -> what it may be, in Hydra's words: choice(a, b), interval(0.1, 1), int(interval(1, 8)),
            range(1, 9, 2), tag(log, interval(1.0e-4, 1.0e-1)); or {draw: <these>, when: <other key>=<value>}. A key is
            a config path or a config group. Empty where nothing is searched.
        trials: how many points are tried in all, those of an interrupted search included.
        metric: what a trial is judged by, as `metrics.json` names it; null for the score of the task.
        direction: maximize or minimize.
        seed: decides the points.
        sampler: random, grid, qmc or tpe.
        seeds: trainings of each point, with seeds 0, 1, ...; their mean minus its standard error is what counts.
        after: name of an earlier search of the experiment, around whose best trials the space is drawn; null for the
            space as it stands.
        keep: share of the trials of `after` that are its best.
        retries: how often a trial that was killed is started again before it counts as failed.
        plan: whether to print the trials with what they cost, and train nothing.
    """

    name: str
    space: dict[str, Any]
    trials: int
    metric: str | None
    direction: str
    seed: int
    sampler: str
    seeds: int
    after: str | None
    keep: float
    retries: int
    plan: bool

    def __post_init__(self) -> None:
        """Refuse settings out of their range, by name."""
        for key, least in (("trials", 1), ("seeds", 1), ("retries", 0), ("seed", 0)):
            if getattr(self, key) < least:
                raise ConfigError(f"search.{key} must be at least {least}, got {getattr(self, key)}")
        if not 0 < self.keep <= 1:
            raise ConfigError(f"search.keep must be above 0 and at most 1, got {self.keep}")
        for key, allowed in (("sampler", SAMPLERS), ("direction", DIRECTIONS)):
            if getattr(self, key) not in allowed:
                named = closest(getattr(self, key), allowed)
                raise ConfigError(f"search.{key}: unknown {key} '{getattr(self, key)}'; {named}")
        if self.seeds > 1 and "seed" in self.space:
            raise ConfigError(
                "search.seeds: the space draws the seed too; remove it there, or set search.seeds=1"
            )
        if not self.name or "/" in self.name:
            raise ConfigError(f"search.name must be a word that can name a folder, got {self.name!r}")

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> SearchSettings:
        """Return the settings of a checked config section."""
        return cls(**section)

    def identity(self) -> dict[str, Any]:
        """Return what makes this search this search."""
        return {key: value for key, value in vars(self).items() if key not in FREE}
