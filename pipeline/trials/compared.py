"""Results of a sweep for the user: the comparison of its jobs, printed, written and logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan, nan
from os.path import relpath
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pipeline.declaration.declaration import Declaration
from pipeline.files import write_text
from pipeline.pages.comparison import PAGE, Comparison, Row, comparison_markdown, print_comparison
from pipeline.runs.folder import RunFolder
from pipeline.tasks.demands import Demands, load_demands
from pipeline.tasks.intervals import mean_interval
from pipeline.trials.names import key_of
from pipeline.trials.search import SEED, Outcome

if TYPE_CHECKING:
    from pipeline.tracking.run import TrackedRun


@dataclass(frozen=True)
class GridJob:
    """A job of a sweep.

    Args:
        overrides: of its declaration.
        declaration: composed from them.
        folder: of its run, which need not exist.
        name: what differs from the other jobs.
        point: the same without the seed.
        outcome: None if it has not ended.
    """

    overrides: Sequence[str]
    declaration: Declaration
    folder: Path
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
        points = self._points()
        for runs_of_point in points:
            scored.append((_name(runs_of_point), [run.score for run in runs_of_point]))
            runs += runs_of_point
        compared = {}
        for run in sorted(runs, key=lambda run: self._rank([run]), reverse=True):
            folder = RunFolder(self.root / run.folder)
            run_id = folder.state()["mlflow_run_id"]
            sections = run.job.declaration.sections
            compared[run.folder] = ComparedRun(run.job.name, run_id, run.folder, sections, folder.metrics())
        best = None
        if len({run.selection["score"] for run in runs}) == 1:
            best = next(
                each for folder, each in compared.items() if folder in {run.folder for run in points[0]}
            )
        score = ", ".join(filter(None, (self._score(points), *self._notes(points))))
        page = self.page.read_text(encoding="utf-8")
        log_comparison(tracked, [*compared.values()], best=best, scored=scored, score=score, page=page)

    def _comparison(self, *, is_stopped: bool) -> Comparison:
        left = [job.name for job in self.jobs if job.outcome is None]
        points = self._points()
        notes = self._notes(points)
        if is_stopped and left:
            notes.append(f"not finished: {len(left)} of {len(self.jobs)} jobs: {'; '.join(left)}")
        rows = [self._row(runs) for runs in points]
        return Comparison(self._score(points), "95 % interval", rows, notes, self.failures())

    def _score(self, points: Sequence[Sequence[_Run]]) -> str:
        """Return the name of the score that ranks the runs; `score` if it is not the same one for all."""
        scores = {f"val/{run.selection['score']}" for runs in points for run in runs}
        return scores.pop() if len(scores) == 1 else "score"

    def _notes(self, points: Sequence[Sequence[_Run]]) -> list[str]:
        """Say what always guessing the majority class scores, or that runs are selected by different scores."""
        selections = [run.selection for runs in points for run in runs]
        scores = sorted({selection["score"] for selection in selections})
        if len(scores) > 1:
            names = " and ".join(scores)
            return [f"selected by different scores, {names}, so the order says nothing: set trainer.select"]
        guesses = {selection["baseline"].get(selection["score"]) for selection in selections}
        guess = guesses.pop() if len(guesses) == 1 else None
        return [] if guess is None else [f"always guessing the majority class: {guess:.4f}"]

    def _row(self, runs: Sequence[_Run]) -> Row:
        """Return the row of the runs of one point."""
        if len(runs) == 1:
            return Row(runs[0].job.name, runs[0].score, place=runs[0].folder)
        demands = self._demands
        bounds = demands[0].bounds_of(runs[0].selection["score"]) if len(demands) == 1 else None
        defined = _defined(runs)
        mean, low, high = mean_interval(defined, bounds=bounds) if defined else (nan, nan, nan)
        parts = [
            Row(f"{SEED} {run.job.declaration.seed}", run.score, place=run.folder)
            for run in sorted(runs, key=lambda run: run.job.declaration.seed)
        ]
        spread = "" if isnan(low) else f"{low:.4f} to {high:.4f}"
        return Row(_name(runs), mean, spread, f"{len(defined)} seed{'s' * (len(defined) != 1)}", parts)

    def _points(self) -> list[list[_Run]]:
        """Return the finished runs by their point, best first."""
        points: dict[tuple[str, ...], list[_Run]] = {}
        for job in self.jobs:
            if job.outcome is not None and job.outcome.value is not None:
                folder = RunFolder(self.root / job.outcome.folder)
                selection = folder.selection(load_demands(job.declaration.task).score)
                loss = folder.metrics().get("val/loss", inf)
                run = _Run(job, job.outcome.value, job.outcome.folder, selection, loss)
                settings = (each for each in job.overrides if key_of(each) != SEED)
                points.setdefault(tuple(settings), []).append(run)
        return sorted(points.values(), key=self._rank, reverse=True)

    def _rank(self, runs: Sequence[_Run]) -> tuple[float, float]:
        """Return a sort key by the mean of the scores that are defined, best last, then by mean loss."""
        sign = {"max": 1, "min": -1}[self._demands[0].mode_of(runs[0].selection["score"])]
        defined = _defined(runs)
        return sign * fmean(defined) if defined else -inf, -fmean(run.loss for run in runs)

    @cached_property
    def _demands(self) -> list[Demands]:
        """The demands of each task."""
        targets = {job.declaration.task["_target_"]: job.declaration.task for job in self.jobs}
        return [load_demands(task) for task in targets.values()]


@dataclass(frozen=True)
class _Run:
    """A finished job, with which score selects its epoch, and its loss on validation images."""

    job: GridJob
    score: float
    folder: str
    selection: Mapping[str, Any]
    loss: float


def _defined(runs: Sequence[_Run]) -> list[float]:
    return [run.score for run in runs if not isnan(run.score)]


def _name(runs: Sequence[_Run]) -> str:
    """Return the name of the runs of one point."""
    return runs[0].job.name if len(runs) == 1 else runs[0].job.point
