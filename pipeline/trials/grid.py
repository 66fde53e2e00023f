"""A sweep over every combination of values: all jobs are checked, then trained, then compared in a table.

A job that fails does not end the sweep. A sweep that is stopped compares the runs that have finished.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError, StorageError
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import Held, locked
from pipeline.tracking.dead_runs import close_dead_runs
from pipeline.tracking.uri import FOLDER_TAG
from pipeline.training.earlier_runs import readable_state
from pipeline.training.run import RunRequest, check_unfinished, train
from pipeline.trials.compared import GridJob, GridResults
from pipeline.trials.names import name_point
from pipeline.trials.search import SEED, Died, Launch, Outcome

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun


@dataclass(frozen=True)
class Grid:
    """A sweep that is ready to run.

    Args:
        overrides: as typed.
        jobs: of all combinations.
        swept: the keys whose values differ between jobs.
        root: the project's folder.
        folder: of this sweep.
    """

    overrides: Sequence[str]
    jobs: Sequence[GridJob]
    swept: Sequence[str]
    root: Path
    folder: Path

    @property
    def experiment(self) -> str:
        """The MLflow experiment of all jobs."""
        return self.jobs[0].declaration.tracking.experiment

    @property
    def title(self) -> str:
        """The name of the sweep: what is trained, and which keys vary."""
        names = sorted({job.declaration.name for job in self.jobs})
        what = names[0] if len(names) == 1 else f"{len(names)} experiments"
        return ": ".join(filter(None, (f"sweep {what}", ", ".join(self.swept))))


def load_grid(
    jobs: Sequence[Sequence[str]],
    overrides: Sequence[str],
    swept: Sequence[str],
    *,
    root: Path,
    folder: Path,
) -> Grid:
    """Return a sweep all of whose jobs can be trained.

    Raises:
        ConfigError: one of them cannot, or they would log to several experiments, or be ranked by several scores.
    """
    declarations = [compose(job) for job in jobs]
    _check_experiment(declarations)
    _check_select(declarations)
    folders = [check_unfinished(declaration, root=root) for declaration in declarations]
    named = [
        GridJob(
            job,
            declaration,
            folder.path,
            name=name_point(job, swept) or declaration.name,
            point=name_point(job, swept, without=SEED) or declaration.name,
        )
        for job, declaration, folder in zip(jobs, declarations, folders, strict=True)
    ]
    return Grid(overrides, named, swept, root, folder)


def _check_experiment(declarations: Sequence[Declaration]) -> None:
    """Check that all jobs log to the same MLflow experiment, so that runs can be compared."""
    names = sorted({declaration.tracking.experiment for declaration in declarations})
    if len(names) > 1:
        raise ConfigError(
            "tracking.experiment",
            f"the jobs of this sweep would log to {', '.join(names)}, where they cannot be compared",
            got=names,
            hint="set one for all, such as tracking.experiment=comparison",
        )


def _check_select(declarations: Sequence[Declaration]) -> None:
    """Check that all jobs declare the same selecting score, so that runs can be ranked."""
    names = sorted({str(declaration.trainer.select) for declaration in declarations})
    if len(names) > 1:
        raise ConfigError(
            "trainer.select",
            "the jobs of this sweep would be ranked by different scores",
            got=names,
            hint="set one for all",
        )


def run_grid(grid: Grid, *, launch: Launch | None = None) -> None:
    """Train all jobs of a sweep, then print, write and log their comparison.

    Args:
        launch: trains jobs; None to train them sequentially in this process.

    Raises:
        ConfigError: a job failed, or another sweep uses the same folder.
    """
    from pipeline.tracking.parents import Parent

    if not is_leader():  # a process beside the leading one of each distributed training
        _train_here(grid, RunContext(grid.root), {})
        return
    try:
        with locked(grid.folder / "lock", waits=False):  # before the MLflow run exists, see `close_dead_runs`
            tracked = _open_parent(grid)
            with Parent(tracked, swept=grid.swept) as parent:
                _run(grid, parent.context, tracked, launch)
    except Held as holder:
        raise ConfigError(
            "hydra.sweep.dir", f"is used by a sweep of {holder}", got=str(grid.folder), hint="choose another"
        ) from None


def _open_parent(grid: Grid) -> TrackedRun:
    from pipeline.tracking.run import TrackedRun
    from pipeline.tracking.store import Store

    close_dead_runs(grid.root, grid.experiment)
    tags = {
        "convoy.entry_point": "sweep",
        "convoy.sweep": " ".join(grid.overrides),
        "mlflow.source.name": "pipeline.train",
        FOLDER_TAG: relpath(grid.folder, grid.root),
    }
    return TrackedRun.start(Store(grid.root, grid.experiment), name=grid.title, parent=None, tags=tags)


def _run(grid: Grid, context: RunContext, tracked: TrackedRun, launch: Launch | None) -> None:
    """Train and compare; whatever ends the sweep early, what has finished is printed and written."""
    outcomes: dict[int, Outcome] = {}
    left_out = ""
    try:
        if launch is None:
            _train_here(grid, context, outcomes)
        else:
            jobs = [job.overrides for job in grid.jobs]
            outcomes |= dict(enumerate(launch(jobs)))
    except (KeyboardInterrupt, SystemExit, StorageError):
        _results(grid, outcomes).show(is_stopped=True)
        raise
    except Died as reason:
        left_out = f"not finished, as the launcher failed ({reason})"
    results = _results(grid, outcomes, left_out)
    results.show()
    results.log(tracked)
    if failures := results.failures():
        raise ConfigError(
            "sweep",
            f"{len(failures)} of {len(grid.jobs)} jobs failed",
            hint=f"see {relpath(results.page, grid.root)}; the same command trains these jobs again, and no others",
        )


def _train_here(grid: Grid, context: RunContext, outcomes: dict[int, Outcome]) -> None:
    """Train the jobs one after the other in this process, and add each outcome when it is known."""
    for place, job in enumerate(grid.jobs):
        try:
            folder = train(job.declaration, RunRequest("sweep", job.name, waits=True), context)
        except Exception as reason:  # an error in a training must only fail its own job
            outcomes[place] = Outcome.of_failure(reason)
            if not isinstance(reason, ConfigError):  # a bug
                traceback.print_exception(reason)
        else:
            if not is_leader():
                continue
            name = str(folder.path.relative_to(grid.root))
            outcomes[place] = Outcome(folder.metrics()["score"], folder=name)
        outcome = outcomes[place]
        came = "failed" if outcome.value is None else f"{outcome.value:.4f}  {outcome.folder}"
        sys.stdout.write(f"{place + 1} of {len(grid.jobs)}  {job.name}  {came}\n")
        sys.stdout.flush()


def _results(grid: Grid, outcomes: dict[int, Outcome], left_out: str = "") -> GridResults:
    """Return the results of a sweep; a job whose outcome is not known may still have finished.

    Args:
        left_out: why jobs have not finished.
    """
    jobs = []
    for place, job in enumerate(grid.jobs):
        outcome = outcomes.get(place) or _found(grid, job)
        if outcome is None and left_out:
            outcome = Outcome(None, left_out)
        jobs.append(replace(job, outcome=outcome))
    return GridResults(grid.title, jobs, grid.overrides, grid.root, grid.folder)


def _found(grid: Grid, job: GridJob) -> Outcome | None:
    """Return the outcome of a job that has finished, as its folder says."""
    folder = RunFolder(job.folder)
    if readable_state(folder).get("state") != "finished":
        return None
    return Outcome(folder.metrics()["score"], folder=str(folder.path.relative_to(grid.root)))
