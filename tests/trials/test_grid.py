"""A sweep: its table, its failures, and what is left of it where it is stopped."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run

from pipeline.declaration.declaration import Declaration
from pipeline.files import write_text
from pipeline.pages.comparison import PAGE
from pipeline.runs.command import Stopped
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.lock import locked
from pipeline.tracking.dead_runs import close_dead_runs
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store
from pipeline.training.run import RunRequest, find_folder
from pipeline.trials import grid as module
from pipeline.trials.grid import Grid, load_grid, run_grid
from pipeline.trials.search import Died, Outcome
from tests.refusals import refused

LENET = "experiment=digits_lenet5"
Score = Callable[[Declaration], float]


class Training:
    """Stand in for `train`: write what a finished run leaves, or raise what the score of a declaration raises."""

    def __init__(self, score: Score) -> None:
        self.names: list[str] = []
        self._score = score

    def __call__(self, declaration: Declaration, request: RunRequest, context: RunContext) -> RunFolder:
        self.names.append(request.name)
        score = self._score(declaration)
        folder = find_folder(declaration, root=context.root)
        folder.update(state="finished", mlflow_run_id=f"id of {request.name}")
        write_text(folder.path / "metrics.json", json.dumps({"score": score, "val/accuracy": score}))
        return folder


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(module, "check_unfinished", find_folder)
    return tmp_path_factory.mktemp("project")


def make(root: Path, *swept: tuple[str, list[str]]) -> Grid:
    jobs: list[list[str]] = [[LENET]]
    for key, values in swept:
        jobs = [[*job, f"{key}={value}"] for job in jobs for value in values]
    typed = [LENET, *(f"{key}={','.join(values)}" for key, values in swept)]
    return load_grid(
        jobs, typed, [key for key, _ in swept], root=root, folder=root / "runs" / "sweeps" / "one"
    )


def parents(root: Path) -> list[Run]:
    store = Store(root, "digits")
    runs: list[Run] = list(store.client.search_runs([store.experiment_id]))
    return runs


def page(root: Path) -> str:
    return (root / "runs" / "sweeps" / "one" / PAGE).read_text(encoding="utf-8")


def test_sweep_ends_with_a_table_best_first(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {0.1: 0.5, 0.2: 0.75}
    training = Training(lambda declaration: scores[declaration.optimizer["lr"]])
    monkeypatch.setattr(module, "train", training)
    grid = make(root, ("optimizer.lr", ["0.1", "0.2"]))
    run_grid(grid)
    assert training.names == ["lr=0.1", "lr=0.2"]
    folders = [find_folder(job.declaration, root=root).path.name for job in grid.jobs]
    table = [f"lr=0.2        0.7500  runs/{folders[1]}", f"lr=0.1        0.5000  runs/{folders[0]}"]
    out = capsys.readouterr().out
    assert "\nsweep digits_lenet5: optimizer.lr\nrun     val/accuracy  folder" in out
    assert [line.rstrip() for line in out.splitlines()[-2:]] == table
    assert f"| lr=0.2 | 0.7500 | runs/{folders[1]} |\n| lr=0.1 | 0.5000 | runs/{folders[0]} |" in page(root)
    (parent,) = parents(root)
    assert (parent.info.run_name, parent.info.status) == ("sweep digits_lenet5: optimizer.lr", "FINISHED")
    assert parent.data.tags["mlflow.note.content"] == page(root)
    assert parent.data.tags["convoy.best_run"] == "id of lr=0.2"


def test_runs_that_differ_in_their_seed_alone_have_a_mean_and_its_interval(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Student's quantile of 2 degrees of freedom is 4.3027; 0.8 +- 4.3027 * 0.1 / sqrt(3), on the logit's scale."""
    scores = {"none": [0.5, 0.5, 0.5], "mirror": [0.7, 0.8, 0.9]}

    def score(declaration: Declaration) -> float:
        return scores["mirror" if declaration.sections["augmentation"]["steps"] else "none"][declaration.seed]

    monkeypatch.setattr(module, "train", Training(score))
    run_grid(make(root, ("augmentation", ["none", "mirror"]), ("seed", ["0", "1", "2"])))
    rows = [
        [cell.strip() for cell in line.split("|")[1:4]] for line in page(root).splitlines() if "|" in line
    ]
    assert rows[2:] == [
        ["mirror", "0.8000", "0.4585 to 0.9497"],
        ["seed 0", "0.7000", ""],
        ["seed 1", "0.8000", ""],
        ["seed 2", "0.9000", ""],
        ["augmentation none", "0.5000", "0.5000 to 0.5000"],
        ["seed 0", "0.5000", ""],
        ["seed 1", "0.5000", ""],
        ["seed 2", "0.5000", ""],
    ]


def test_score_that_is_not_a_number_comes_last(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {0.1: 0.5, 0.2: float("nan"), 0.3: 0.75}
    monkeypatch.setattr(module, "train", Training(lambda declaration: scores[declaration.optimizer["lr"]]))
    run_grid(make(root, ("optimizer.lr", ["0.1", "0.2", "0.3"])))
    assert [line.split()[1] for line in page(root).splitlines() if line.startswith("| lr")] == [
        "lr=0.3",
        "lr=0.1",
        "lr=0.2",
    ]


def select(folder: RunFolder, name: str, loss: float) -> None:
    """Write which score selects a run's epoch, and its loss, as a training does."""
    selection = {"score": name, "majority": "1", "baseline": {"accuracy": 0.1008}}
    write_text(folder.path / "result.json", json.dumps({"selection": selection}))
    write_text(folder.path / "metrics.json", json.dumps({**folder.metrics(), "val/loss": loss}))


def test_of_equal_scores_the_lower_loss_comes_first_beside_the_majority_class(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = {0.1: 0.4, 0.2: 0.2, 0.3: 0.3}

    def train(declaration: Declaration, request: RunRequest, context: RunContext) -> RunFolder:
        folder = Training(lambda _: 0.5)(declaration, request, context)
        select(folder, "accuracy", losses[declaration.optimizer["lr"]])
        return folder

    monkeypatch.setattr(module, "train", train)
    run_grid(make(root, ("optimizer.lr", ["0.1", "0.2", "0.3"])))
    names = [line.split()[1] for line in page(root).splitlines() if line.startswith("| lr")]
    assert names == ["lr=0.2", "lr=0.3", "lr=0.1"]
    assert "- always guessing the majority class: 0.1008" in page(root)
    (parent,) = parents(root)
    assert parent.data.tags["convoy.best_name"] == "lr=0.2"


def test_runs_that_are_selected_by_different_scores_say_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {0.1: "accuracy", 0.2: "balanced_accuracy"}

    def train(declaration: Declaration, request: RunRequest, context: RunContext) -> RunFolder:
        folder = Training(lambda _: 0.5)(declaration, request, context)
        select(folder, scores[declaration.optimizer["lr"]], 0.3)
        return folder

    monkeypatch.setattr(module, "train", train)
    run_grid(make(root, ("optimizer.lr", ["0.1", "0.2"])))
    assert "selected by different scores, accuracy and balanced_accuracy" in page(root).replace("\\", "")
    assert "| run | score | folder |" in page(root)


def test_every_failed_job_is_named_with_its_reason_and_the_others_are_trained(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def score(declaration: Declaration) -> float:
        rate = declaration.optimizer["lr"]
        if rate > 1:
            raise RuntimeError(f"diverged at\n{rate}")
        return float(rate)

    monkeypatch.setattr(module, "train", Training(score))
    text = (
        "sweep: 2 of 4 jobs failed; see runs/sweeps/one/comparison.md; the same command trains these jobs again, "
        "and no others"
    )
    with refused("sweep", hint="runs/sweeps/one/comparison.md", text=text):
        run_grid(make(root, ("optimizer.lr", ["2", "0.5", "3", "0.25"])))
    captured = capsys.readouterr()
    assert (
        "failed: lr=2: RuntimeError: diverged at 2\nfailed: lr=3: RuntimeError: diverged at 3\n"
        in captured.out
    )
    assert captured.err.count("Traceback") == 2, "a bug keeps its traceback"
    assert "| lr=0.5 | 0.5000 |" in page(root)
    (parent,) = parents(root)
    assert parent.info.status == "FAILED"
    assert parent.data.metrics["final/score"] == 0.5


def test_stopped_sweep_compares_what_has_finished(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def score(declaration: Declaration) -> float:
        if declaration.optimizer["lr"] == 0.2:
            raise Stopped(signal.SIGINT)
        return 0.5

    monkeypatch.setattr(module, "train", Training(score))
    with pytest.raises(Stopped) as caught:
        run_grid(make(root, ("optimizer.lr", ["0.1", "0.2", "0.3"])))
    assert caught.value.code == 130
    assert capsys.readouterr().out.endswith("not finished: 2 of 3 jobs: lr=0.2; lr=0.3\n")
    assert "| lr=0.1 | 0.5000 |" in page(root)
    assert [run.info.status for run in parents(root)] == ["KILLED"]


def test_jobs_that_a_launcher_lost_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = make(root, ("optimizer.lr", ["0.1", "0.2"]))

    def launch(jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        Training(lambda _: 0.5)(
            grid.jobs[0].declaration, RunRequest("sweep", "a", waits=True), RunContext(root)
        )
        raise Died("a worker was killed")

    with refused("sweep"):
        run_grid(grid, launch=launch)
    out = capsys.readouterr().out
    assert "failed: lr=0.2: not finished, as the launcher failed (a worker was killed)\n" in out
    assert "| lr=0.1 | 0.5000 |" in page(root)


def test_folder_of_a_running_sweep_is_refused(root: Path) -> None:
    grid = make(root, ("optimizer.lr", ["0.1", "0.2"]))
    with locked(grid.folder / "lock", waits=False), refused("hydra.sweep.dir", got=str(grid.folder)):
        run_grid(grid)


def test_sweep_that_is_killed_at_once_is_closed_by_the_next_command(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is created with its folder, whose lock is held before."""

    class Killed(BaseException):
        pass

    def start(store: Store, **options: Any) -> TrackedRun:
        start_run(store, **options)
        close_dead_runs(root, "digits")
        assert parents(root)[0].info.status == "RUNNING", "taken for dead, as its lock is not held"
        raise Killed

    start_run = TrackedRun.start
    monkeypatch.setattr(TrackedRun, "start", start)
    with pytest.raises(Killed):
        run_grid(make(root, ("seed", ["0", "1"])))
    close_dead_runs(root, "digits")
    assert [run.info.status for run in parents(root)] == ["KILLED"]
