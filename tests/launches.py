"""What stands in for training in tests of a search: a response to settings, and death at a chosen launch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import log10
from pathlib import Path
from typing import Any

from pipeline.search import Launch, Outcome, Search, search_of
from pipeline.sweeps.dimensions import Entry
from pipeline.sweeps.ledger import Ledger
from pipeline.sweeps.samplers import sampler_of
from pipeline.sweeps.settings import SearchSettings

Settings = dict[str, str]

COARSE = ("experiment=digits_lenet5", "search=coarse")
DEFAULTS: dict[str, Any] = {
    "name": "planted",
    "space": {},
    "trials": 64,
    "metric": None,
    "direction": "maximize",
    "seed": 0,
    "sampler": "random",
    "seeds": 1,
    "after": None,
    "keep": 0.25,
    "retries": 2,
    "plan": False,
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


def by_rate(settings: Settings) -> float:
    """Return a response with its best, 0, at a learning rate of 0.01."""
    return -abs(log10(float(settings["optimizer.lr"])) + 2)


def refused(reason: str) -> Launch:
    """Return a launch whose jobs all fail."""
    return lambda jobs: [Outcome(None, reason) for _ in jobs]


def coarse(root: Path, *overrides: str) -> Search:
    """Return the search that conf/search/coarse.yaml declares."""
    return search_of([*COARSE, *overrides], root=root)


def planted(root: Path, entries: list[Entry], **changed: Any) -> Search:
    """Return a search over entries that no declaration has."""
    settings = SearchSettings(**DEFAULTS | changed)
    sampler = sampler_of(settings.sampler, entries, seed=settings.seed)
    return Search(settings, entries, sampler, Ledger(root), "digits", [], settings.identity(), None, [])
