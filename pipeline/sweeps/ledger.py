"""The ledger of a search: the point and the outcome of each trial, one small file per trial.

Files are written atomically, and the start of a trial is recorded before it starts; so a search that is killed at any
moment can be resumed from its ledger: no trial is lost, and none is repeated.

search.json       the identity of the search, and the MLflow id of its parent run
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
from pipeline.files import write_text


@dataclass(frozen=True)
class Trial:
    """One trial.

    Args:
        index: counted from 0.
        point: key -> value.
        state: running, finished, pruned (a training was stopped early, since others were better) or failed.
        attempts: number of times it was started.
        values: values of the metric, one per training; empty while it is running or if it failed.
        curves: values of the metric after each epoch, one list per training.
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
        folder: `runs/searches/<experiment>-<search>`; created when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, identity: Mapping[str, Any]) -> None:
        """Start the ledger, or resume it.

        Args:
            identity: everything that determines the points and outcomes of trials.

        Raises:
            ConfigError: the ledger belongs to another search.
        """
        known = self.about()
        if not known:
            (self.folder / "trials").mkdir(parents=True, exist_ok=True)
            self.update(identity=dict(identity))
        elif (difference := self.difference(identity)) is not None:
            raise ConfigError(
                "search.name",
                f"{self.folder} holds another search: {difference}",
                hint="choose another search.name for this one, or remove that folder",
            )

    def difference(self, identity: Mapping[str, Any]) -> str | None:
        """Return the difference between the search in the ledger and another one; None if they are the same."""
        known: dict[str, Any] | None = self.about().get("identity")
        if known is None or known == json.loads(json.dumps(identity)):
            return None
        return _difference(known, identity)

    def set_aside(self) -> Path:
        """Move everything except the lock to another folder, so that a new search can start; return that folder."""
        places = (self.folder.with_name(f"{self.folder.name}.before{number}") for number in count(1))
        place = next(place for place in places if not place.exists())
        place.mkdir()
        # search.json, which identifies the search, is moved last: if killed in between, the move is repeated.
        files = sorted(self.folder.iterdir(), key=lambda file: file.name == "search.json")
        for file in files:
            if file.name != "lock":
                file.rename(place / file.name)
        return place

    def about(self) -> dict[str, Any]:
        """Return the contents of `search.json`; empty if the search has never started."""
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
        """Record one more start of a trial."""
        return self.keep(replace(trial, state="running", attempts=trial.attempts + 1))

    def settle(self, trial: Trial, state: str, **found: Any) -> Trial:
        """Record the final state and the outcome of a trial."""
        return self.keep(replace(trial, state=state, **found))

    def keep(self, trial: Trial) -> Trial:
        """Write a trial unchanged."""
        _write(self.folder / "trials" / f"{trial.index:05}.json", asdict(trial))
        return trial


def _write(path: Path, values: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=1) + "\n")


def _difference(known: Mapping[str, Any], asked: Mapping[str, Any], path: str = "") -> str:
    """Return the first place where two identities differ, with both values."""
    for key in [*known, *asked]:
        before, now = (json.loads(json.dumps(each.get(key, "absent"))) for each in (known, asked))
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                return _difference(before, now, f"{path}{key}.")
            return f"{path}{key} was {before!r} there and is {now!r} now"
    raise AssertionError("the same identities have no difference")
