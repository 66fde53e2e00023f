"""Hydra callback: validate all jobs of a multirun, and create a parent run in MLflow for them.

The parent is opened before any job starts, so that the store exists when jobs open it concurrently. When the jobs are
done, a comparison of the children is logged to it.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.runs.command import at_end, is_stopping, report_mistake
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import locked
from pipeline.tasks.demands import load_demands
from pipeline.tracking.dead_runs import close_dead_runs
from pipeline.tracking.uri import FOLDER_TAG
from pipeline.training.run import check_unfinished
from pipeline.trials.space import range_values

if TYPE_CHECKING:
    from pipeline.tracking.parents import Parent


MOST_JOBS = 10_000  # of one sweep


class ParentRun(Callback):
    """Open, fill and close the parent run of a multirun; a search opens its own."""

    def __init__(self) -> None:
        self._parent: Parent | None = None
        self._mode = "max"  # of the score that the children are compared by, as are its bounds
        self._bounds: tuple[float, float] | None = None
        self._lock = ExitStack()  # held while the sweep runs, so that other processes see that it is alive

    def __reduce__(self) -> tuple[type[ParentRun], tuple[()]]:
        """Pickle it without the parent, which the workers of a launcher have nothing to do with."""
        return type(self), ()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Validate all jobs of a sweep, then open the parent run.

        Hydra turns exceptions in callbacks into warnings, so errors are raised as SystemExit.
        """
        if not is_leader() or config.search.space:
            return
        overrides = list(config.hydra.overrides.task)
        report_mistake(lambda: self._check_and_open(overrides))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Log the comparison of the children and close the parent."""
        if self._parent is not None:
            self._close("FINISHED")

    def _check_and_open(self, overrides: list[str]) -> None:
        jobs = [compose(each) for each in _jobs(overrides)]
        for job in jobs:
            check_unfinished(job, root=Path.cwd())
        self._open(jobs, overrides)

    def _open(self, jobs: list[Declaration], overrides: list[str]) -> None:
        """Open the parent run."""
        from pipeline.tracking.parents import Parent
        from pipeline.tracking.run import TrackedRun
        from pipeline.tracking.store import Store

        swept = [each for each in _parsed(overrides) if each.is_sweep_override()]
        title = " ".join([jobs[0].name, "sweep:", *(each.input_line or "" for each in swept)])
        folder = f"runs/sweeps/{uuid4().hex}"
        tags = {
            "convoy.entry_point": "sweep",
            "convoy.sweep": " ".join(overrides),
            "mlflow.source.name": "pipeline.train",
            FOLDER_TAG: folder,
        }
        demands = load_demands(jobs[0].task)
        score = _one_score(jobs) or demands.score
        self._mode, self._bounds = demands.mode_of(score), demands.bounds_of(score)
        experiment = _one_experiment(jobs)
        close_dead_runs(Path.cwd(), experiment)
        self._lock.enter_context(locked(Path(folder) / "lock", waits=False))  # before the run exists
        tracked = TrackedRun.start(Store(Path.cwd(), experiment), name=title, parent=None, tags=tags)
        self._parent = Parent(tracked, swept=(each.get_key_element().lstrip("+") for each in swept))
        at_end(self._close_failed)

    def _close_failed(self) -> None:
        """Close the parent of a sweep that was stopped, or failed: then still comparing the runs that finished."""
        if self._parent is not None and is_stopping():  # and has no time for a comparison
            store = self._parent.tracked.store
            self._parent.close("KILLED")
            close_dead_runs(
                store.root, store.experiment
            )  # those of the launcher's workers, which it has killed
        elif self._parent is not None:
            self._close("FAILED", reason="a job failed")

    def _close(self, status: str, *, reason: str = "") -> None:
        from pipeline.tracking.comparison import log_comparison

        assert self._parent is not None
        means = log_comparison(self._parent.tracked, mode=self._mode, bounds=self._bounds)
        if means:
            sys.stdout.write(f"\nOver seeds, with Student's interval of the mean:\n{means}")
        self._parent.close(status, reason=reason)
        self._parent = None
        self._lock.close()


def _one_experiment(jobs: list[Declaration]) -> str:
    """Return the MLflow experiment of all jobs, which must be the same, so that runs can be compared."""
    names: list[str] = sorted({job.tracking.experiment for job in jobs})
    if len(names) > 1:
        raise ConfigError(
            "tracking.experiment",
            f"the jobs of this sweep would log to {', '.join(names)}, where they cannot be compared",
            got=names,
            hint="set one for all, such as tracking.experiment=comparison",
        )
    return names[0]


def _one_score(jobs: list[Declaration]) -> str | None:
    """Return the `trainer.select` of all jobs, which must be the same, so that runs can be ranked."""
    names = {job.trainer.select for job in jobs}
    if len(names) > 1:
        raise ConfigError(
            "trainer.select",
            "the jobs of this sweep would be ranked by different scores",
            got=sorted(map(str, names)),
            hint="set one for all",
        )
    return names.pop()


def _jobs(overrides: list[str]) -> list[list[str]]:
    """Return the overrides of each job of a grid, as expanded by Hydra's basic sweeper.

    Raises:
        ConfigError: there are too many to list.
    """
    parsed = _parsed(overrides)
    count = 1
    for each in parsed:
        values = each.value()
        if isinstance(values, RangeSweep):
            count *= len(range_values(each.get_key_element().lstrip("+"), values))
        elif isinstance(values, ChoiceSweep):
            count *= len(values.list)
    if count > MOST_JOBS:
        raise ConfigError(
            "overrides", f"they make {count:,} jobs, more than {MOST_JOBS:,}", hint="sweep fewer values"
        )
    batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def _parsed(overrides: list[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(overrides)
