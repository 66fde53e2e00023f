"""The ledger of a search: the point and the outcome of each trial, one small file per trial.

Files are written atomically, and the start of a trial is recorded before it starts; so a search that is killed at any
moment can be resumed from its ledger: no trial is lost, and none is repeated.

search.json       the identity of the search, and the MLflow id of its parent run
trials/00007.json point, state (running, finished, pruned, failed), attempts, values, losses, curves, reason

Each file holds the digest of its content, and that of a trial also covers its place and its search. A damaged
`search.json` is written again, and a trial whose file is damaged is run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, DamagedFileError, warn
from pipeline.storage.sealed import read_sealed, write_sealed

ABOUT = "search"  # what a search.json belongs to: its folder may be renamed


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
        losses: losses on validation images, one per training, which decide between equal values.
    """

    index: int
    point: dict[str, Any]
    state: str = "running"
    attempts: int = 0
    values: list[float] = field(default_factory=list)
    curves: list[list[float]] = field(default_factory=list)
    reason: str = ""
    losses: list[float] = field(default_factory=list)


class Ledger:
    """The trials of one search.

    Args:
        folder: `runs/searches/<experiment>-<search>`; created when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, identity: Mapping[str, Any], *, around: Any = None) -> None:
        """Start the ledger, or resume it.

        A ledger without a readable `search.json` is resumed if its trials belong to this search; otherwise it is set
        aside.

        Args:
            identity: everything that determines the points and outcomes of trials.
            around: the points that the search refines; None if it starts from scratch.

        Raises:
            ConfigError: the ledger belongs to another search.
        """
        known = self.about()
        if not known:
            about = {"identity": dict(identity)} | ({} if around is None else {"around": around})
            if (self.folder / "search.json").exists() and not self._has_trials_of(about):
                warn(f"{self.folder} may hold another search, and was set aside as {self.set_aside().name}")
            (self.folder / "trials").mkdir(parents=True, exist_ok=True)
            self.update(**about)
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
        """Return the contents of `search.json`; empty if the search has never started, or if it is damaged."""
        try:
            return read_sealed(self.folder / "search.json", of=ABOUT)
        except FileNotFoundError:
            return {}
        except DamagedFileError as damage:
            warn(f"{damage.file} {damage.problem}; the command that runs this search writes it again")
            return {}

    def update(self, **values: Any) -> None:
        """Set values of `search.json`."""
        write_sealed(self.folder / "search.json", self.about() | values, of=ABOUT)

    def trials(self) -> dict[int, Trial]:
        """Return the trials so far, by index, without those whose file is damaged."""
        trials, about = {}, self.about()
        for file in sorted((self.folder / "trials").glob("[0-9]*.json")):
            try:
                trial = Trial(**read_sealed(file, of=_place(about, int(file.stem))))
            except DamagedFileError as damage:
                warn(f"{damage.file} {damage.problem}; this trial is run again")
                continue
            trials[trial.index] = trial
        return trials

    def _has_trials_of(self, about: Mapping[str, Any]) -> bool:
        """Return whether a trial belongs to a search, or there is none."""
        files = list((self.folder / "trials").glob("[0-9]*.json"))
        return not files or any(_is_sealed(file, _place(about, int(file.stem))) for file in files)

    def start(self, trial: Trial) -> Trial:
        """Record one more start of a trial."""
        return self.keep(replace(trial, state="running", attempts=trial.attempts + 1))

    def settle(self, trial: Trial, state: str, **found: Any) -> Trial:
        """Record the final state and the outcome of a trial."""
        return self.keep(replace(trial, state=state, **found))

    def keep(self, trial: Trial) -> Trial:
        """Write a trial unchanged."""
        path = self.folder / "trials" / f"{trial.index:05}.json"
        write_sealed(path, asdict(trial), of=_place(self.about(), trial.index))
        return trial


def _is_sealed(file: Path, of: str) -> bool:
    try:
        read_sealed(file, of=of)
    except DamagedFileError:
        return False
    return True


def _place(about: Mapping[str, Any], index: int) -> str:
    """Return what the file of a trial belongs to: its search, with the points that it refines, and its index."""
    return json.dumps([about.get("identity"), about.get("around"), index], sort_keys=True)


def _difference(known: Mapping[str, Any], asked: Mapping[str, Any], path: str = "") -> str:
    """Return the first place where two identities differ, with both values."""
    for key in [*known, *asked]:
        before, now = (json.loads(json.dumps(each.get(key, "absent"))) for each in (known, asked))
        if before != now:
            if isinstance(before, dict) and isinstance(now, dict):
                return _difference(before, now, f"{path}{key}.")
            return f"{path}{key} was {before!r} there and is {now!r} now"
    raise AssertionError("the same identities have no difference")
