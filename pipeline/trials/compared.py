"""Results of a sweep for the user: the comparison of its jobs, printed, written and logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan
from os.path import relpath
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from pipeline.declaration.declaration import Declaration
from pipeline.files import write_text
from pipeline.pages.comparison import PAGE, Comparison, Row, comparison_markdown, print_comparison
from pipeline.runs.folder import RunFolder
from pipeline.tasks.demands import Demands, load_demands
from pipeline.tasks.intervals import mean_interval
from pipeline.trials.search import SEED, Outcome

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun


@dataclass(frozen=True)
class GridJob:
    """A job of a sweep.

    Args:
        overrides: of its declaration.
        declaration: composed from them.
        name: what differs from the other jobs.
        point: the same without the seed.
        outcome: None if it has not ended.
    """

    overrides: Sequence[str]
    declaration: Declaration
    name: str
    point: str
    outcome: Outcome | None = None


@dataclass(frozen=True)
class GridResults:
    """What came of the jobs of a sweep.

    Args:
        title: of the sweep.
        jobs: with their outcomes.
        overrides: as typed.
        root: the project's folder.
        folder: of the sweep.
    """

    title: str
    jobs: Sequence[GridJob]
    overrides: Sequence[str]
    root: Path
    folder: Path

    @property
    def page(self) -> Path:
        """The file with the comparison."""
        return self.folder / PAGE

    def failures(self) -> list[tuple[str, str]]:
        """Return name and reason of each job that failed."""
        ended = [(job.name, job.outcome) for job in self.jobs if job.outcome is not None]
        return [(name, outcome.reason) for name, outcome in ended if outcome.value is None]

    def show(self, *, is_stopped: bool = False) -> None:
        """Print the comparison, and write it to the sweep's folder.

        Args:
            is_stopped: whether the sweep ends before its last job.
        """
        comparison = self._comparison(is_stopped=is_stopped)
        page = comparison_markdown(comparison, title=self.title, overrides=self.overrides)
        write_text(self.page, page)
        print_comparison(comparison, title=self.title, rest=relpath(self.page, self.root))

    def log(self, tracked: TrackedRun) -> None:
        """Log the comparison, which `show` has written, to the parent run."""
        from pipeline.tracking.comparison import ComparedRun, log_comparison

        runs, scored = [], []
        for runs_of_point in self._points():
            scored.append((_name(runs_of_point), [run.score for run in runs_of_point]))
            runs += runs_of_point
        compared = []
        for run in sorted(runs, key=lambda run: self._rank([run.score]), reverse=True):
            folder = RunFolder(self.root / run.folder)
            run_id = folder.state()["mlflow_run_id"]
            sections = run.job.declaration.sections
            compared.append(ComparedRun(run.job.name, run_id, run.folder, sections, folder.metrics()))
        log_comparison(tracked, compared, scored=scored, page=self.page.read_text(encoding="utf-8"))

    def _comparison(self, *, is_stopped: bool) -> Comparison:
        left = [job.name for job in self.jobs if job.outcome is None]
        notes = []
        if is_stopped and left:
            notes.append(f"not finished: {len(left)} of {len(self.jobs)} jobs: {'; '.join(left)}")
        scores = {f"val/{demands.score}" for demands in self._demands}
        score = scores.pop() if len(scores) == 1 else "score"
        rows = [self._row(runs) for runs in self._points()]
        return Comparison(score, "95 % interval", rows, notes, self.failures())

    def _row(self, runs: Sequence[_Run]) -> Row:
        """Return the row of the runs of one point."""
        if len(runs) == 1:
            return Row(runs[0].job.name, runs[0].score, place=runs[0].folder)
        bounds = self._demands[0].bounds if len(self._demands) == 1 else None
        mean, low, high = mean_interval([run.score for run in runs], bounds=bounds)
        parts = [
            Row(f"{SEED} {run.job.declaration.seed}", run.score, place=run.folder)
            for run in sorted(runs, key=lambda run: run.job.declaration.seed)
        ]
        return Row(_name(runs), mean, f"{low:.4f} to {high:.4f}", f"{len(runs)} seeds", parts)

    def _points(self) -> list[list[_Run]]:
        """Return the finished runs by their point, best first."""
        points: dict[str, list[_Run]] = {}
        for job in self.jobs:
            if job.outcome is not None and job.outcome.value is not None:
                run = _Run(job, job.outcome.value, job.outcome.folder)
                points.setdefault(job.point, []).append(run)
        return sorted(points.values(), key=lambda runs: self._rank([run.score for run in runs]), reverse=True)

    def _rank(self, scores: Sequence[float]) -> float:
        """Return a sort key by mean score, best last; NaN comes first."""
        sign = {"max": 1, "min": -1}[self._demands[0].mode]
        mean = sign * fmean(scores)
        return -inf if isnan(mean) else mean

    @cached_property
    def _demands(self) -> list[Demands]:
        """The demands of each task."""
        targets = {job.declaration.task["_target_"]: job.declaration.task for job in self.jobs}
        return [load_demands(task) for task in targets.values()]


@dataclass(frozen=True)
class _Run:
    """A finished job."""

    job: GridJob
    score: float
    folder: str


def _name(runs: Sequence[_Run]) -> str:
    """Return the name of the runs of one point."""
    return runs[0].job.name if len(runs) == 1 else runs[0].job.point
