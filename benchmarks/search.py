"""A search: what a trial costs beside its training, and whether that stays flat as trials grow."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks.figures import Figure, seconds
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.trials.declared import load_search
from pipeline.trials.runner import launch_here, run_search
from pipeline.trials.search import Outcome, Search

TRIALS = 20
FIRST = 2  # trials that pay for imports
MANY = 500
WINDOW = 50  # trials at either end of many
DATA = Path("data").resolve() / "digits.zip"


def measured() -> Iterator[Figure]:
    """Measure searches in a project of their own, which is removed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield _beside_training(Path(folder))
        yield _growth(Path(folder))


def _beside_training(root: Path) -> Figure:
    """Return what a trial of one epoch takes beside the epoch."""
    beside: list[float] = []

    def launch(jobs: Sequence[Sequence[str]]) -> Sequence[Outcome]:
        train = launch_here(RunContext.from_environment(root), "bench")  # below the search's parent run
        outcomes: list[Outcome] = []
        whole = seconds(lambda: outcomes.extend(train(jobs)))
        beside.append(whole - _trained_last(root))
        return outcomes

    with contextlib.redirect_stdout(io.StringIO()):
        run_search(_search(root, "tiny", TRIALS), root=root, entry_point="bench", launch=launch)
    found = beside[FIRST:]
    name = f"search, seconds of a trial beside its training ({TRIALS} trials of one epoch)"
    return Figure.over(name, found, goal=0.25, is_limit=True)


def _growth(root: Path) -> Figure:
    """Return how many times longer a late trial of many takes than an early one, training left out."""
    starts: list[float] = []

    def launch(jobs: Sequence[Sequence[str]]) -> Sequence[Outcome]:
        starts.append(time.perf_counter())
        return [Outcome(float(len(starts))) for _ in jobs]

    _search(root, "many", MANY).run(launch)
    lengths = [after - before for before, after in pairwise(starts)]
    ratios = [late / early for early, late in zip(lengths[:WINDOW], lengths[-WINDOW:], strict=True)]
    name = f"search, one of the last {WINDOW} of {MANY} trials against one of the first, training left out"
    return Figure.over(name, ratios, goal=1.5, is_limit=True)


def _search(root: Path, name: str, trials: int) -> Search:
    tiny = ["experiment=digits_lenet5", "trainer.max_epochs=1", "trainer.progress=false", f"data.root={DATA}"]
    return load_search([*tiny, "search=coarse", f"search.name={name}", f"search.trials={trials}"], root=root)


def _trained_last(root: Path) -> float:
    """Return how long the epochs of the latest run took."""
    latest = max((root / "runs").glob("*/timing.csv"), key=lambda path: path.stat().st_mtime_ns)
    return RunFolder(latest.parent).seconds()
