"""What stands in for training in tests of a search: a response to settings, and death at a chosen launch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from math import log10
from pathlib import Path
from typing import Any

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.sweeps.dimensions import Entry
from pipeline.sweeps.ledger import Ledger, Trial
from pipeline.sweeps.settings import SearchSettings
from pipeline.trials.declared import load_search
from pipeline.trials.early_stopping import PruningPolicy
from pipeline.trials.search import Launch, Outcome, Search

Settings = dict[str, str]

COARSE = ("experiment=digits_lenet5", "search=coarse")
DEFAULTS: dict[str, Any] = {
    "name": "planted",
    "space": {},
    "trials": 64,
    "rounds": 1,
    "keep": 0.25,
    "metric": None,
    "direction": "maximize",
    "seed": 0,
    "sampler": "random",
    "seeds": 1,
    "folds": 1,
    "pruner": "none",
    "warmup": 1,
    "factor": 3,
    "parallel": 1,
    "retries": 2,
    "trial": None,
}


class Killed(BaseException):
    """The process is killed: nothing that handles errors may see it."""


def settings_of(job: Sequence[str]) -> Settings:
    """Return what the overrides of a job set; the last of the same key counts."""
    return dict(override.split("=", 1) for override in job)


class Trainings:
    """Answer jobs by a response; remember them; die during some of the launches.

    Args:
        response: the settings of a job -> its value.
        deaths: numbers of launches, counted from 0, that are killed.
    """

    def __init__(self, response: Callable[[Settings], float], deaths: Collection[int] = ()) -> None:
        self.launched: list[list[list[str]]] = []
        self._response = response
        self._deaths = deaths

    def __call__(self, jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        """Train some jobs."""
        self.launched.append([list(job) for job in jobs])
        if len(self.launched) - 1 in self._deaths:
            raise Killed
        return [Outcome(self._response(settings_of(job))) for job in jobs]


class JudgedTrainings(Trainings):
    """Train by curves that rise to the value of a job, each epoch judged as a training's is.

    Args:
        ledger: folder of the search.
        search: its settings.
    """

    EPOCHS = 6

    def __init__(
        self,
        response: Callable[[Settings], float],
        deaths: Collection[int] = (),
        *,
        ledger: Path,
        search: SearchSettings,
    ) -> None:
        super().__init__(response, deaths)
        self._ledger = ledger
        self._search = search

    def __call__(self, jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        """Train some jobs, the last one first, as jobs that run side by side may end."""
        finals = [outcome.value for outcome in super().__call__(jobs)]
        outcomes = [self._judged(job, final) for job, final in reversed(list(zip(jobs, finals, strict=True)))]
        return outcomes[::-1]

    def _judged(self, job: Sequence[str], final: float | None) -> Outcome:
        assert final is not None
        trial = int(settings_of(job)["search.trial"])
        policy = PruningPolicy.load(judged(self._search, trial=trial, epochs=self.EPOCHS), self._ledger)
        history = [{"score": final * epoch / self.EPOCHS} for epoch in range(1, self.EPOCHS + 1)]
        epochs = policy.stopped_at(history)
        curve = policy.curve(history[:epochs])
        return Outcome(curve[-1], "" if epochs is None else "stopped", curve, is_pruned=epochs is not None)


def judged(search: SearchSettings, *, trial: int, epochs: int) -> Declaration:
    """Return the declaration of a trial whose trainings a pruner judges."""
    lenet = _lenet()
    trainer = {**lenet.sections["trainer"], "max_epochs": epochs}
    return lenet.replace(search=vars(search) | {"trial": trial}, trainer=trainer)


@cache
def _lenet() -> Declaration:
    return Declaration.parse(compose_sections(["experiment=digits_lenet5"]))


def table(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    """Return what came of trials, however often each was started."""
    return [(each.index, each.point, each.state, each.values, each.curves, each.reason) for each in trials]


def by_rate(settings: Settings) -> float:
    """Return a response with its best, 0, at a learning rate of 0.01."""
    return -abs(log10(float(settings["optimizer.lr"])) + 2)


def failing(reason: str) -> Launch:
    """Return a launch whose jobs all fail."""
    return lambda jobs: [Outcome(None, reason) for _ in jobs]


def coarse(root: Path, *overrides: str) -> Search:
    """Return the search that conf/search/coarse.yaml declares."""
    return load_search([*COARSE, *overrides], root=root)


def planted(root: Path, entries: list[Entry], **changed: Any) -> Search:
    """Return a search over entries that no declaration has."""
    settings = SearchSettings(**DEFAULTS | changed)
    return Search(
        settings,
        entries,
        Ledger(root),
        is_plan=False,
        seed=0,
        experiment="digits",
        overrides=[],
        identity=settings.identity(),
        around=None,
        notes=[],
    )
