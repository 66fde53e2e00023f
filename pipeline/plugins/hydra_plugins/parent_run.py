"""Hydra callback: a multirun is checked whole, then gets one MLflow run that its jobs hang under.

The parent is opened before any job starts, so that the store exists when jobs open it at once, and it
carries the comparison of its children when they are done.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pipeline.compose import compose
from pipeline.errors import ConfigError
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import Held, locked
from pipeline.search import Search, named, search_of
from pipeline.sweeps.objective import ranked
from pipeline.tracking.variables import PARENT_VARIABLE, SWEPT_VARIABLE


class ParentRun(Callback):
    """Open, fill and close the parent run of a multirun."""

    def __init__(self) -> None:
        self._parent: Any = None
        self._search: Search | None = None
        self._lock = ExitStack()  # held while the sweep lives, so that others can tell whether it does

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep with a job that cannot work; else open the parent run.

        Hydra turns what a callback raises into a warning, so a refusal leaves by SystemExit.
        """
        if not is_leader():
            return
        overrides = list(config.hydra.overrides.task)
        try:
            if config.search.space:
                self._open_search(search_of(overrides, root=Path.cwd()))
                return
            jobs = [compose(each) for each in _jobs(overrides)]
            self._open(_one_experiment(jobs), jobs[0]["name"], overrides)
        except ConfigError as mistake:
            sys.stderr.write(f"error: {mistake}\n")
            raise SystemExit(1) from None

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Log the comparison of the children and close the parent."""
        if self._parent is None:
            return
        self._close("FINISHED")
        for variable in (PARENT_VARIABLE, SWEPT_VARIABLE):
            os.environ.pop(variable, None)

    def _open(self, experiment: str, name: str, overrides: list[str]) -> None:
        """Open the parent run of a grid."""
        from pipeline.tracking.run import TrackedRun
        from pipeline.tracking.store import FOLDER_TAG, Store

        swept = [each for each in _parsed(overrides) if each.is_sweep_override()]
        title = " ".join([name, "sweep:", *(each.input_line or "" for each in swept)])
        store = Store(Path.cwd(), experiment)
        store.close_dead_runs()
        self._parent = TrackedRun.start(store, name=title, parent=None, tags=_tags(overrides))
        folder = f"runs/sweeps/{self._parent.run_id}"
        self._lock.enter_context(locked(Path(folder) / "lock", waits=False))
        self._parent.log_tags({FOLDER_TAG: folder})
        self._tell_children(each.get_key_element().lstrip("+") for each in swept)

    def _open_search(self, search: Search) -> None:
        """Open the parent run of a search, or take it up again."""
        from pipeline.tracking.run import TrackedRun
        from pipeline.tracking.store import FOLDER_TAG, Store

        if search.settings.plan:
            return
        folder = search.ledger.folder
        try:
            self._lock.enter_context(locked(folder / "lock", waits=False))
        except Held as holder:
            raise ConfigError(f"search {folder.name} is being run by {holder}; wait for it") from None
        search.ledger.open(search.identity)
        store = Store(Path.cwd(), search.experiment)
        store.close_dead_runs()
        known = search.ledger.about().get("mlflow_run_id")
        if known is not None and store.has_run(known):
            self._parent = TrackedRun.resume(store, known)
        else:
            tags = _tags(search.overrides) | {FOLDER_TAG: str(folder.relative_to(Path.cwd()))}
            self._parent = TrackedRun.start(store, name=f"search {folder.name}", parent=None, tags=tags)
            search.ledger.update(mlflow_run_id=self._parent.run_id)
        self._search = search
        self._tell_children([*(entry.key for entry in search.entries), "seed"])

    def _tell_children(self, swept: Iterable[str]) -> None:
        """Tell the jobs whose children they are, and what sets them apart."""
        os.environ[PARENT_VARIABLE] = self._parent.run_id
        os.environ[SWEPT_VARIABLE] = ",".join(swept)
        atexit.register(self._close_failed)

    def _close_failed(self) -> None:
        """Close a parent whose sweep raised: the runs that finished are compared all the same."""
        if self._parent is not None:
            self._close("FAILED", reason="a job failed, or the sweep was stopped")

    def _close(self, status: str, *, reason: str = "") -> None:
        from pipeline.tracking.comparison import log_comparison

        if self._search is not None:
            self._log_search(self._search)
        else:
            means = log_comparison(self._parent)
            if means:
                sys.stdout.write(f"\nOver seeds, with Student's interval of the mean:\n{means}")
        self._parent.end(status, reason=reason)
        self._parent = None
        self._lock.close()

    def _log_search(self, search: Search) -> None:
        """Log what a search has found so far."""
        from pipeline.tracking.comparison import log_search

        results = search.ledger.folder / "results"
        done = ranked(search.ledger.trials().values(), direction=search.settings.direction)
        if done and results.is_dir():
            log_search(self._parent, results, best=named(done[0].point), value=fmean(done[0].values))


def _tags(overrides: list[str]) -> dict[str, str]:
    return {
        "convoy.door": "sweep",
        "convoy.sweep": " ".join(overrides),
        "mlflow.source.name": "pipeline.train",
    }


def _one_experiment(jobs: list[dict[str, Any]]) -> str:
    """Return the MLflow experiment of all jobs; runs can only be compared within one."""
    names = sorted({job["tracking"]["experiment"] for job in jobs})
    if len(names) > 1:
        raise ConfigError(
            f"tracking.experiment: the jobs of this sweep would log to {', '.join(names)}, where they cannot "
            "be compared; set one for all, such as tracking.experiment=comparison"
        )
    return str(names[0])


def _jobs(overrides: list[str]) -> list[list[str]]:
    """Return the overrides of each job of a grid, as Hydra's basic sweeper makes them."""
    batches = BasicSweeper.split_arguments(_parsed(overrides), max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def _parsed(overrides: list[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(overrides)
