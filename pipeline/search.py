"""Search: draw points from a space, train each, keep the best.

    python -m pipeline.train -m experiment=digits_lenet5 search=coarse
    python -m pipeline.train -m experiment=digits_lenet5 search=fine
    python -m pipeline.train -m experiment=digits_lenet5 search=coarse search.plan=true

A search that was killed goes on by the same command: whatever was killed and when, each trial is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from pipeline.compose import composed
from pipeline.declaration import check
from pipeline.errors import ConfigError, closest
from pipeline.prepare import prepared_key
from pipeline.runs.fingerprint import deciding
from pipeline.space import check_keys, space_of, written
from pipeline.sweeps.dimensions import Entry
from pipeline.sweeps.ledger import Ledger, Trial
from pipeline.sweeps.objective import ranked, worth
from pipeline.sweeps.refine import refined, top
from pipeline.sweeps.samplers import Grid, Point, Sampler, sampler_of
from pipeline.sweeps.settings import SearchSettings

SEARCHES = Path("runs") / "searches"


@dataclass(frozen=True)
class Outcome:
    """What came of one training: a value, or the reason why there is none."""

    value: float | None
    reason: str = ""


Launch = Callable[[Sequence[Sequence[str]]], Sequence[Outcome]]


@dataclass(frozen=True)
class Search:
    """A search that is ready to run.

    Args:
        experiment: of MLflow, in which the runs are compared.
        overrides: of the command line that all trials share.
        around: the best points of the earlier search that the space was drawn around; None without one.
        notes: what is worth knowing about the space, such as where it was widened.
    """

    settings: SearchSettings
    entries: list[Entry]
    sampler: Sampler
    ledger: Ledger
    experiment: str
    overrides: list[str]
    identity: dict[str, Any]
    around: list[Point] | None
    notes: list[str]

    def jobs(self, point: Point) -> list[list[str]]:
        """Return the overrides of each training of a point: one per seed."""
        shared = [each for each in self.overrides if each.split("=")[0].lstrip("+") not in point]
        chosen = [f"{key}={written(value)}" for key, value in point.items()]
        seeds = [f"seed={seed}" for seed in range(self.settings.seeds)] if self.settings.seeds > 1 else []
        return [[*shared, *chosen, seed] for seed in seeds] or [[*shared, *chosen]]

    def points(self) -> list[Point]:
        """Return the points of all trials, as far as they do not depend on what comes of earlier ones."""
        known = self.ledger.trials()
        told = self._told(known)
        return [
            known[index].point if index in known else self.sampler.point(index, told)
            for index in range(self.settings.trials)
        ]

    def run(self, launch: Launch) -> list[Trial]:
        """Run what is left to do.

        Args:
            launch: trains jobs given by their overrides.

        Returns:
            All trials, in their order.

        Raises:
            ConfigError: every trial failed.
        """
        self.ledger.open(self.identity)
        self.ledger.update(around=self.around)
        trials = self.ledger.trials()
        for index in range(self.settings.trials):
            trial = trials.get(index) or Trial(index, self.sampler.point(index, self._told(trials)))
            trials[index] = self._settled(trial, launch) if trial.state == "running" else trial
        done = [trials[index] for index in range(self.settings.trials)]
        if not ranked(done, direction=self.settings.direction):
            raise ConfigError(
                f"search: all {len(done)} trials failed, the first of them: {done[0].reason}; see {self.ledger.folder}"
            )
        return done

    def _settled(self, trial: Trial, launch: Launch) -> Trial:
        """Train a trial, unless it was killed too often."""
        if trial.attempts > self.settings.retries:
            return self.ledger.fail(trial, f"was killed {trial.attempts} times")
        started = self.ledger.start(trial)
        try:
            outcomes = launch(self.jobs(trial.point))
        except KeyboardInterrupt:
            self.ledger.keep(trial)  # who asks to stop does not use up a retry
            raise
        trial = started
        reasons = [outcome.reason for outcome in outcomes if outcome.value is None]
        if reasons and reasons[0].startswith("search.metric"):
            raise ConfigError(reasons[0])  # no trial could do better
        values = [outcome.value for outcome in outcomes if outcome.value is not None]
        if reasons:
            return self.ledger.fail(trial, reasons[0])
        if not all(map(isfinite, values)):
            return self.ledger.fail(trial, f"{self.settings.metric or 'the score'} is not a number")
        return self.ledger.finish(trial, values)

    def _told(self, trials: Mapping[int, Trial]) -> list[tuple[Point, float]]:
        direction = self.settings.direction
        found = sorted(ranked(trials.values(), direction=direction), key=lambda trial: trial.index)
        return [(trial.point, worth(trial, direction=direction)) for trial in found]


def search_of(overrides: Sequence[str], *, root: Path) -> Search:
    """Return the search that a command line declares.

    Raises:
        ConfigError: its space or settings cannot work.
    """
    sections = composed(overrides)
    check(sections)
    settings = SearchSettings.of(sections["search"])
    entries = space_of(settings.space)
    notes: list[str] = []
    check_keys(entries, sections)
    ledger = Ledger(root / SEARCHES / f"{sections['name']}-{settings.name}")
    around = None if settings.after is None else _around(settings, ledger, sections["name"], root)
    if around is not None:
        entries, notes = refined(entries, around)
    sampler = sampler_of(settings.sampler, entries, seed=settings.seed)
    if isinstance(sampler, Grid) and len(sampler) < settings.trials:
        raise ConfigError(
            f"search.trials: the grid has {len(sampler)} points, got {settings.trials} trials; set "
            f"search.trials={len(sampler)}"
        )
    identity = {
        "data": prepared_key(sections, root=root),
        "declaration": deciding(sections),
        "search": settings.identity(),
        "keys": [entry.key for entry in entries],
    }
    experiment = sections["tracking"]["experiment"]
    return Search(settings, entries, sampler, ledger, experiment, list(overrides), identity, around, notes)


def _around(settings: SearchSettings, ledger: Ledger, name: str, root: Path) -> list[Point]:
    """Return the best points of an earlier search: those that this one has started with, where it has."""
    known: list[Point] | None = ledger.about().get("around")
    if known is not None:
        return known
    folder = root / SEARCHES / f"{name}-{settings.after}"
    if not folder.is_dir():
        there = [path.name.removeprefix(f"{name}-") for path in (root / SEARCHES).glob(f"{name}-*")]
        raise ConfigError(
            f"search.after: there is no search '{settings.after}' of {name}; {closest(settings.after, there)}"
        )
    best = ranked(Ledger(folder).trials().values(), direction=settings.direction)
    return [trial.point for trial in best[: top(len(best), share=settings.keep)]]


def named(point: Point) -> str:
    """Name a point as its runs are named."""
    return " ".join(f"{key}={written(value)}" for key, value in point.items())
