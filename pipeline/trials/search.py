"""The trials of a search: which points are tried, in which order, and what is kept of each.

A search that was killed goes on where it was: whatever was killed and when, each trial is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from pipeline.errors import ConfigError
from pipeline.sweeps.dimensions import Entry
from pipeline.sweeps.ledger import Ledger, Trial
from pipeline.sweeps.objective import ranked, ranking_score
from pipeline.sweeps.refine import refined, top
from pipeline.sweeps.samplers import Point, make_sampler
from pipeline.sweeps.settings import SearchSettings
from pipeline.trials.space import written

SEED, FOLD = "seed", "data.fold"  # keys by which the trainings of a point differ


@dataclass(frozen=True)
class Outcome:
    """What came of one training.

    Args:
        value: by which it is compared; None where there is none.
        reason: why there is no value, or why the training was stopped.
        curve: the value after each epoch.
        is_pruned: whether a pruner stopped it.
    """

    value: float | None
    reason: str = ""
    curve: tuple[float, ...] = ()
    is_pruned: bool = False

    @classmethod
    def of_failure(cls, reason: BaseException) -> Outcome:
        """Return the outcome of a training that raised."""
        text = " ".join(str(reason).split())
        return cls(None, text if isinstance(reason, ConfigError) else f"{type(reason).__name__}: {text}")


class Died(Exception):
    """The process that trained the jobs died, and which of them it died over is unknown."""


Launch = Callable[[Sequence[Sequence[str]]], Sequence[Outcome]]


@dataclass(frozen=True)
class Search:
    """A search that is ready to run.

    Args:
        entries: the space of the first round.
        is_plan: whether to tell what would be tried, and train nothing.
        seed: of the declaration, and of each point's first training.
        experiment: of MLflow, in which the runs are compared.
        overrides: of the command line that all trials share.
        identity: all that decides what a trial tries and what comes of it.
        around: the best points of the earlier search that the space was drawn around; None without one.
        notes: what is worth knowing about the space, such as where it was widened.
    """

    settings: SearchSettings
    entries: list[Entry]
    ledger: Ledger
    is_plan: bool
    seed: int
    experiment: str
    overrides: list[str]
    identity: dict[str, Any]
    around: list[Point] | None
    notes: list[str]

    def jobs(self, index: int, point: Point) -> list[list[str]]:
        """Return the overrides of each training of a trial: one per seed and fold."""
        settings = self.settings
        numbers = range(self.seed, self.seed + settings.seeds)
        seeds = [f"{SEED}={number}" for number in numbers] if settings.seeds > 1 else [""]
        folds = [""]
        if settings.folds > 1:
            folds = [f"{FOLD}={{index:{fold},of:{settings.folds}}}" for fold in range(settings.folds)]
        trial = [*self.at(point), f"search.trial={index}"]
        return [[*trial, *filter(None, (seed, fold))] for seed in seeds for fold in folds]

    def at(self, point: Point) -> list[str]:
        """Return the overrides that set a point."""
        shared = [each for each in self.overrides if each.split("=")[0].lstrip("+") not in point]
        return [*shared, *(f"{key}={written(value)}" for key, value in point.items())]

    def spaces(self, trials: Mapping[int, Trial]) -> Iterator[tuple[list[Entry], list[str]]]:
        """Yield the space of each round, and notes on it, as far as the trials before it are settled.

        From the second on it is the round's before, drawn around the best of all trials so far.
        """
        entries, notes = self.entries, self.notes
        for indices in self.settings.rounds_of_trials():
            before = [trials.get(index) for index in range(indices.start)]
            done = [trial for trial in before if trial is not None and trial.state != "running"]
            if len(done) < indices.start:
                return
            if indices.start:
                best = ranked(done, direction=self.settings.direction)
                points = [trial.point for trial in best[: top(len(best), share=self.settings.keep)]]
                entries, notes = refined(entries, points) if points else (entries, [])
            yield entries, notes

    def points(self) -> list[Point]:
        """Return the points of the first trials, up to where they depend on what comes of others."""
        known = self.ledger.trials()
        points: list[Point] = []
        for indices, (entries, _) in zip(self.settings.rounds_of_trials(), self.spaces(known), strict=False):
            sampler = make_sampler(self.settings.sampler, entries, seed=self.settings.seed)
            for index in indices:
                observations = self._observations(known, before=self.settings.batch_start(index))
                if index not in known and not sampler.knows(index, len(observations)):
                    return points
                points.append(known[index].point if index in known else sampler.point(index, observations))
        return points

    def run(self, launch: Launch, *, report: Callable[[Trial], None] = lambda _: None) -> list[Trial]:
        """Run what is left to do.

        Args:
            launch: trains jobs given by their overrides.
            report: called with each trial that is settled.

        Returns:
            All trials, in their order.

        Raises:
            ConfigError: every trial failed.
        """
        self.ledger.open(self.identity)
        self.ledger.update(around=self.around)
        trials = self.ledger.trials()
        for number, indices in enumerate(self.settings.rounds_of_trials()):
            entries, _ = list(self.spaces(trials))[number]
            sampler = make_sampler(self.settings.sampler, entries, seed=self.settings.seed)
            for start in indices[:: self.settings.parallel]:
                observations = self._observations(trials, before=start) if sampler.learns else []
                batch = [
                    trials.get(index) or Trial(index, sampler.point(index, observations))
                    for index in indices[start - indices.start :][: self.settings.parallel]
                ]
                settled = self._settled([trial for trial in batch if trial.state == "running"], launch)
                for trial in settled.values():
                    report(trial)
                trials |= settled
        done = [trials[index] for index in range(self.settings.trials)]
        if not ranked(done, direction=self.settings.direction):
            reason = next((trial.reason for trial in done if trial.state == "failed"), done[0].reason)
            raise ConfigError(
                "search",
                f"none of {len(done)} trials has a value, the first reason: {reason}",
                hint=f"see {self.ledger.folder}",
            )
        return done

    def _settled(self, batch: Sequence[Trial], launch: Launch) -> dict[int, Trial]:
        """Train some trials together; one that was killed too often fails."""
        settled: list[Trial] = []
        fresh = [trial for trial in batch if not trial.attempts]
        if fresh:
            settled += self._launched(fresh, launch)
        for trial in batch:
            if trial.attempts > self.settings.retries:
                times = "once" if trial.attempts == 1 else f"{trial.attempts} times"
                reason = f"was killed {times}{trial.reason and ': '}{trial.reason}"
                settled.append(self.ledger.settle(trial, "failed", reason=reason))
            elif trial.attempts:  # by itself: nobody knows over which of its batch it was killed
                settled += self._launched([trial], launch)
        return {trial.index: trial for trial in settled}

    def _launched(self, batch: Sequence[Trial], launch: Launch) -> list[Trial]:
        """Launch some trials; where that dies over one of them, each by itself."""
        started = [self.ledger.start(trial) for trial in batch]
        jobs = [self.jobs(trial.index, trial.point) for trial in batch]
        try:
            outcomes = iter(launch([job for each in jobs for job in each]))
        except (KeyboardInterrupt, SystemExit):  # Lightning turns the one into the other
            for trial in batch:
                self.ledger.keep(trial)  # who asks to stop does not use up a retry
            raise
        except Died as reason:
            if len(batch) > 1:
                for trial in batch:
                    self.ledger.keep(trial)  # nor does who only shared a batch
                return [each for trial in batch for each in self._launched([trial], launch)]
            died = self.ledger.keep(replace(started[0], reason=str(reason)))
            return list(self._settled([died], launch).values())
        return [
            self._kept(trial, [next(outcomes) for _ in each])
            for trial, each in zip(started, jobs, strict=True)
        ]

    def _kept(self, trial: Trial, outcomes: Sequence[Outcome]) -> Trial:
        """Keep what came of the trainings of a trial."""
        ends = [
            place for place, outcome in enumerate(outcomes, 1) if outcome.value is None or outcome.is_pruned
        ]
        outcomes = outcomes[: min(ends, default=len(outcomes))]  # no launch needs to train what comes after
        reasons = [outcome.reason for outcome in outcomes if outcome.value is None]
        values = [outcome.value for outcome in outcomes if outcome.value is not None]
        pruned = [outcome.reason for outcome in outcomes if outcome.is_pruned]
        curves = [list(outcome.curve) for outcome in outcomes]
        if reasons:
            return self.ledger.settle(trial, "failed", reason=reasons[0])
        if not all(map(isfinite, values)):
            reason = f"{self.settings.metric or 'the score'} is not a number"
            return self.ledger.settle(trial, "failed", reason=reason)
        if pruned:
            return self.ledger.settle(trial, "pruned", values=values, curves=curves, reason=pruned[0])
        return self.ledger.settle(trial, "finished", values=values, curves=curves, reason="")

    def _observations(self, trials: Mapping[int, Trial], *, before: int) -> list[tuple[Point, float]]:
        """Return what a sampler may know: points and ranking scores of the trials before one, pruned ones included."""
        known = [trials[index] for index in range(before) if index in trials and trials[index].values]
        return [(trial.point, ranking_score(trial, direction=self.settings.direction)) for trial in known]


def named(point: Point) -> str:
    """Name a point as its runs are named."""
    return " ".join(f"{key}={written(value)}" for key, value in point.items())
