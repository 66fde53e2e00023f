"""The ledger of a search: what each trial tried and what came of it, one small file per trial.

A file appears whole or not at all, and says before a trial starts that it starts; so whoever is killed, and whenever,
leaves a ledger from which the search goes on: no trial is lost, none is done twice.

search.json       the identity of the search, and the MLflow run that its trials hang under
trials/00007.json point, state (running, finished, pruned, failed), attempts, values, curves, reason
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError


@dataclass(frozen=True)
class Trial:
    """One trial.

    Args:
        index: counted from 0.
        point: key -> value.
        state: running, finished, pruned (a training was stopped since others went better) or failed.
        attempts: how often it was started.
        values: what it is judged by, one per training; empty while it runs, and where it failed.
        curves: the same after each epoch, one list per training.
        reason: why it was pruned, or failed.
    """

    index: int
    point: dict[str, Any]
    state: str = "running"
    attempts: int = 0
    values: list[float] = field(default_factory=list)
    curves: list[list[float]] = field(default_factory=list)
    reason: str = ""


class Ledger:
    """The trials of one search.

    Args:
        folder: `runs/searches/<experiment>-<search>`; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, identity: Mapping[str, Any]) -> None:
        """Start the ledger, or take it up again.

        Args:
            identity: all that decides what a trial tries and what comes of it.

        Raises:
            ConfigError: it belongs to another search.
        """
        known = self.about()
        if not known:
            (self.folder / "trials").mkdir(parents=True, exist_ok=True)
            self.update(identity=dict(identity))
        elif (difference := self.difference(identity)) is not None:
            raise ConfigError(
                f"search.name: {self.folder} holds another search: {difference}; choose another search.name for this "
                "one, or remove that folder"
            )

    def difference(self, identity: Mapping[str, Any]) -> str | None:
        """Return where the search that the ledger holds differs from another; None where they are the same."""
        known: dict[str, Any] | None = self.about().get("identity")
        if known is None or known == json.loads(json.dumps(identity)):
            return None
        return _difference(known, identity)

    def set_aside(self) -> Path:
        """Move all but the lock away, so that another search can start here; return where it lies now."""
        places = (self.folder.with_name(f"{self.folder.name}.before{number}") for number in count(1))
        place = next(place for place in places if not place.exists())
        place.mkdir()
        # What says whose trials they are goes last: killed in between, it is done again.
        files = sorted(self.folder.iterdir(), key=lambda file: file.name == "search.json")
        for file in files:
            if file.name != "lock":
                file.rename(place / file.name)
        return place

    def about(self) -> dict[str, Any]:
        """Return `search.json`; empty where the search has never started."""
        try:
            about: dict[str, Any] = json.loads((self.folder / "search.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return about

    def update(self, **values: Any) -> None:
        """Set values of `search.json`."""
        _write(self.folder / "search.json", self.about() | values)

    def trials(self) -> dict[int, Trial]:
        """Return the trials so far, by index."""
        files = sorted((self.folder / "trials").glob("[0-9]*.json"))
        found = [Trial(**json.loads(file.read_text(encoding="utf-8"))) for file in files]
        return {trial.index: trial for trial in found}

    def start(self, trial: Trial) -> Trial:
        """Say that a trial starts, once more."""
        return self.keep(replace(trial, state="running", attempts=trial.attempts + 1))

    def settle(self, trial: Trial, state: str, **found: Any) -> Trial:
        """Keep how a trial ended, and what came of it."""
        return self.keep(replace(trial, state=state, **found))

    def keep(self, trial: Trial) -> Trial:
        """Write a trial as it is."""
        _write(self.folder / "trials" / f"{trial.index:05}.json", asdict(trial))
        return trial


def _write(path: Path, values: Mapping[str, Any]) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def _difference(known: Mapping[str, Any], asked: Mapping[str, Any], path: str = "") -> str:
    """Return the first place where two identities differ, with both values."""
    for key in [*known, *asked]:
        before, now = (json.loads(json.dumps(each.get(key, "absent"))) for each in (known, asked))
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                return _difference(before, now, f"{path}{key}.")
            return f"{path}{key} was {before!r} there and is {now!r} now"
    raise AssertionError("the same identities have no difference")
