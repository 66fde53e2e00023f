"""Hydra callback: a multirun is checked whole, then gets one MLflow run that its jobs hang under.

The parent is opened before any job starts, so that the store exists when jobs open it at once, and it
carries the comparison of its children when they are done.
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pipeline.compose import compose
from pipeline.errors import ConfigError
from pipeline.tracking.variables import PARENT_VARIABLE


class ParentRun(Callback):
    """Open, fill and close the parent run of a multirun."""

    def __init__(self) -> None:
        self._parent: Any = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep with a job that cannot work; else open the parent run.

        Hydra turns what a callback raises into a warning, so a refusal leaves by SystemExit.
        """
        overrides = list(config.hydra.overrides.task)
        try:
            jobs = [compose(each) for each in _jobs(overrides)]
            self._open(jobs[0]["tracking"]["experiment"], jobs[0]["name"], overrides)
        except ConfigError as mistake:
            sys.stderr.write(f"error: {mistake}\n")
            raise SystemExit(1) from None

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Log the comparison of the children and close the parent."""
        if self._parent is None:
            return
        from pipeline.tracking.comparison import log_comparison

        log_comparison(self._parent)
        self._parent.end("FINISHED")
        self._parent = None
        os.environ.pop(PARENT_VARIABLE, None)

    def _open(self, experiment: str, name: str, overrides: list[str]) -> None:
        from pipeline.tracking.run import TrackedRun
        from pipeline.tracking.store import Store

        swept = " ".join(each for each in overrides if not each.startswith("experiment="))
        tags = {"convoy.door": "sweep", "convoy.sweep": swept, "mlflow.source.name": "pipeline.train"}
        store = Store(Path.cwd(), experiment)
        self._parent = TrackedRun.start(store, name=f"{name} sweep: {swept}", parent=None, tags=tags)
        os.environ[PARENT_VARIABLE] = self._parent.run_id
        atexit.register(self._close_failed)

    def _close_failed(self) -> None:
        """Close a parent whose sweep never came to its end."""
        if self._parent is not None:
            self._parent.end("FAILED", reason="the sweep stopped before its last job")


def _jobs(overrides: list[str]) -> list[list[str]]:
    """Return the overrides of each job of a grid, as Hydra's basic sweeper makes them."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for batch in batches for job in batch]
