"""The trials of a search: which points are evaluated, in which order, and how outcomes are recorded.

A killed search resumes where it stopped; no matter when it was killed, each trial is completed exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from pipeline.errors import ConfigError, StorageError, redact
from pipeline.sweeps.dimensions import Entry
from pipeline.sweeps.ledger import Ledger, Trial
from pipeline.sweeps.objective import ranked, ranking_score
from pipeline.sweeps.refine import refined, top
from pipeline.sweeps.samplers import Point, make_sampler
from pipeline.sweeps.settings import SearchSettings
from pipeline.trials.space import written

SEED, FOLD = "seed", "data.fold"  # keys in which repeated trainings of a point differ


@dataclass(frozen=True)
class Outcome:
    """The outcome of one training.

    Args:
        value: the value of the metric; None if training failed.
        reason: why there is no value, or why training was stopped.
        curve: the value after each epoch.
        loss: on validation images, of the epoch that has the value; None if there is no value.
        is_pruned: whether a pruner stopped it.
        folder: of the run, relative to the project's folder; empty if it is not known.
    """

    value: float | None
    reason: str = ""
    curve: tuple[float, ...] = ()
    loss: float | None = None
    is_pruned: bool = False
    folder: str = ""

    @classmethod
    def of_failure(cls, reason: BaseException) -> Outcome:
        """Return the outcome of a training that raised an exception.

        Raises:
            StorageError: a full disk or the like was the reason, which says nothing about the trial.
        """
        if (storage := StorageError.behind(reason)) is not None:
            raise storage from reason
        text = redact(" ".join(str(reason).split()))
        return cls(None, text if isinstance(reason, ConfigError) else f"{type(reason).__name__}: {text}")


class Died(Exception):
    """A process that trained several jobs died; which job caused it is unknown."""


Launch = Callable[[Sequence[Sequence[str]]], Sequence[Outcome]]


@dataclass(frozen=True)
class Search:
    """A search that is ready to run.

    Args:
        entries: the space of the first round.
        is_plan: whether to only print the planned trials, without training.
        seed: the seed of the declaration, used for the first training of each point.
        experiment: the MLflow experiment of the runs.
        overrides: the command-line overrides that all trials share.
        identity: everything that determines the points of the trials and their outcomes.
        around: the best points of an earlier search that this one refines; None if it starts from scratch.
        notes: remarks on the space, for example where it was widened.
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
        return self._trainings([*self.at(point), f"search.trial={index}"])

    def declared_jobs(self) -> list[list[str]]:
        """Return the overrides of each training with the declared values: one per seed and fold."""
        return self._trainings(self.overrides)

    def _trainings(self, shared: Sequence[str]) -> list[list[str]]:
        settings = self.settings
        numbers = range(self.seed, self.seed + settings.seeds)
        seeds = [f"{SEED}={number}" for number in numbers] if settings.seeds > 1 else [""]
        folds = [""]
        if settings.folds > 1:
            folds = [f"{FOLD}={{index:{fold},of:{settings.folds}}}" for fold in range(settings.folds)]
        return [[*shared, *filter(None, (seed, fold))] for seed in seeds for fold in folds]

    def at(self, point: Point) -> list[str]:
        """Return the overrides that set a point."""
        shared = [each for each in self.overrides if each.split("=")[0].lstrip("+") not in point]
        return [*shared, *(f"{key}={written(value)}" for key, value in point.items())]

    def spaces(self, trials: Mapping[int, Trial]) -> Iterator[tuple[list[Entry], list[str]]]:
        """Yield the space and notes of each round whose preceding trials have all ended.

        From the second round on, the space of the round before is refined around the best of all trials so far.
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
        """Return the points of the trials, up to the first one that depends on outcomes not yet known."""
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
        """Run all remaining trials.

        Args:
            launch: trains jobs, each given as a list of overrides.
            report: called with each trial when it ends.

        Returns:
            All trials in order of their index.

        Raises:
            ConfigError: no trial has a value.
        """
        self.ledger.open(self.identity, around=self.around)
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
        """Train a batch of trials; a trial that was killed more than `retries` times fails."""
        settled: list[Trial] = []
        fresh = [trial for trial in batch if not trial.attempts]
        if fresh:
            settled += self._launched(fresh, launch)
        for trial in batch:
            if trial.attempts > self.settings.retries:
                times = "once" if trial.attempts == 1 else f"{trial.attempts} times"
                reason = f"was killed {times}{trial.reason and ': '}{trial.reason}"
                settled.append(self.ledger.settle(trial, "failed", reason=reason))
            elif trial.attempts:  # alone, since any trial of its batch may have caused the crash
                settled += self._launched([trial], launch)
        return {trial.index: trial for trial in settled}

    def _launched(self, batch: Sequence[Trial], launch: Launch) -> list[Trial]:
        """Launch a batch of trials; if the process dies, retry each of them on its own."""
        started = [self.ledger.start(trial) for trial in batch]
        jobs = [self.jobs(trial.index, trial.point) for trial in batch]
        try:
            outcomes = iter(launch([job for each in jobs for job in each]))
        except (
            KeyboardInterrupt,
            SystemExit,
            StorageError,
        ):  # Lightning turns KeyboardInterrupt into SystemExit
            for trial in batch:
                self.ledger.keep(trial)  # an interrupt by the user or a full disk does not count as a retry
            raise
        except Died as reason:
            if len(batch) > 1:
                for trial in batch:
                    self.ledger.keep(trial)  # nor does a crash that another trial may have caused
                return [each for trial in batch for each in self._launched([trial], launch)]
            died = self.ledger.keep(replace(started[0], reason=str(reason)))
            return list(self._settled([died], launch).values())
        return [
            self._kept(trial, [next(outcomes) for _ in each])
            for trial, each in zip(started, jobs, strict=True)
        ]

    def _kept(self, trial: Trial, outcomes: Sequence[Outcome]) -> Trial:
        """Record the outcomes of the trainings of a trial in the ledger."""
        ends = [
            place for place, outcome in enumerate(outcomes, 1) if outcome.value is None or outcome.is_pruned
        ]
        outcomes = outcomes[: min(ends, default=len(outcomes))]  # launchers may skip the rest
        reasons = [outcome.reason for outcome in outcomes if outcome.value is None]
        values = [outcome.value for outcome in outcomes if outcome.value is not None]
        losses = [outcome.loss for outcome in outcomes if outcome.loss is not None]
        pruned = [outcome.reason for outcome in outcomes if outcome.is_pruned]
        curves = [list(outcome.curve) for outcome in outcomes]
        if reasons:
            return self.ledger.settle(trial, "failed", reason=reasons[0])
        if not all(map(isfinite, values)):
            reason = f"{self.settings.metric or 'the score'} is not defined"
            return self.ledger.settle(trial, "failed", reason=reason)
        if pruned:
            return self.ledger.settle(trial, "pruned", values=values, curves=curves, reason=pruned[0])
        return self.ledger.settle(trial, "finished", values=values, losses=losses, curves=curves, reason="")

    def _observations(self, trials: Mapping[int, Trial], *, before: int) -> list[tuple[Point, float]]:
        """Return the points and ranking scores of the trials before an index that have values, pruned ones included."""
        known = [trials[index] for index in range(before) if index in trials and trials[index].values]
        return [(trial.point, ranking_score(trial, direction=self.settings.direction)) for trial in known]


def named(point: Point) -> str:
    """Return a point as its overrides, for messages."""
    return " ".join(f"{key}={written(value)}" for key, value in point.items())
