"""Commands that are told to stop: they close what is open, leave no process, and the same command goes on."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.doors.project import ROOT, TINY, Project, obey
from tests.doors.test_train import assert_same_results, only_run

Begin = Callable[..., "subprocess.Popen[str]"]

pytestmark = pytest.mark.slow

RESUMED = [
    *TINY[:2],
    "trainer.threads=1",
    "trainer.max_epochs=10",
    "tracking.log_model=false",
    "trainer.num_workers=2",
]
LONG = ["trainer.max_epochs=2000", *(each for each in TINY if "batch_size" not in each)]
JOBLIB = ["-m", *LONG, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def members(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, _, its_session = rest.split()[:4]
        if int(its_session) == session and state != "Z":
            found.append(int(name.split()[0]))
    return found


def wait_until(is_so: Callable[[], object], what: str, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def statuses(root: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    return sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))


def drafts(root: Path) -> list[Path]:
    """Return what is left of files and folders that were being written."""
    names = ("*.unfinished", f".*.{'[0-9]' * 2}*")
    return [path for name in names for path in root.rglob(name)]


@pytest.fixture
def begin(project: Project) -> Iterator[Begin]:
    """Return a function that starts a command; what it leaves is ended after the test."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str, module: str = "pipeline.train") -> subprocess.Popen[str]:
        begun.append(project.start(sys.executable, "-m", module, *arguments))
        return begun[-1]

    yield start
    for process in begun:
        for member in members(process.pid):
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        process.wait()


def num_training(root: Path) -> int:
    return len(list((root / "runs").glob("*/last.ckpt")))


def stop(process: subprocess.Popen[str], number: int, *, whole_group: bool) -> float:
    """Send a signal; return the seconds until the process has ended with the code of that signal."""
    start = time.monotonic()
    (os.killpg if whole_group else os.kill)(process.pid, number)
    assert process.wait(30) == 128 + number
    return time.monotonic() - start


@pytest.mark.parametrize(
    ("number", "whole_group"),
    [(signal.SIGTERM, True), (signal.SIGTERM, False), (signal.SIGHUP, True), (signal.SIGINT, True)],
    ids=str,
)
def test_stopped_run_is_killed_within_ten_seconds_and_goes_on_to_the_same_results(
    project: Project, begin: Begin, whole: Project, number: int, whole_group: bool
) -> None:
    process = begin(*RESUMED)
    project.wait_for("epoch 2/10", process)
    assert stop(process, number, whole_group=whole_group) < 10
    wait_until(lambda: not members(process.pid), "children end", seconds=10)
    said = (project.root / "out.txt").read_text()
    assert said.splitlines()[-1] == f"stopped by {signal.Signals(number).name}; the same command goes on"
    assert "Traceback" not in said
    assert statuses(project.root) == ["KILLED"]
    assert drafts(project.root) == []
    assert "epoch 1/10" not in project.python("pipeline.train", *RESUMED), "it started anew"
    assert_same_results(only_run(whole.root), only_run(project.root))
    assert statuses(project.root) == ["FINISHED"]


def test_run_whose_terminal_is_closed_is_killed_and_writes_no_error(project: Project) -> None:
    """A terminal that is gone refuses what is written to it, so the progress bar would end the run as FAILED."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(project.root)
        obey()
        command = [sys.executable, "-m", "pipeline.train", *LONG, "tracking.log_model=false"]
        os.execve(sys.executable, command, {**project.environment, "TERM": "xterm"})
    closing = threading.Event()
    reader = threading.Thread(target=show, args=(terminal, closing))
    reader.start()
    try:
        wait_until(lambda: num_training(project.root), "a checkpoint", seconds=240)
    finally:
        closing.set()
        reader.join()
        os.close(terminal)
    start = time.monotonic()
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert time.monotonic() - start < 10
    assert statuses(project.root) == ["KILLED"]


def show(terminal: int, closing: threading.Event) -> None:
    """Read what is written to a terminal until it is to be closed."""
    while not closing.is_set():
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with the run that was never stopped."""
    made = Project(tmp_path_factory.mktemp("whole"))
    (made.root / "data").symlink_to(ROOT / "data")
    made.python("pipeline.train", *RESUMED)
    return made


@pytest.mark.parametrize(
    ("arguments", "num_runs"),
    [
        (["-m", *LONG, "seed=0,1"], 1),
        ([*JOBLIB, "seed=0,1"], 2),
        (["-m", *LONG, "search=coarse", "search.trials=2"], 1),
        ([*JOBLIB, "search=coarse", "search.trials=2", "search.parallel=2"], 2),
    ],
    ids=["sweep", "sweep by joblib", "search", "search by joblib"],
)
def test_stopped_sweep_closes_its_runs_and_leaves_no_process(
    project: Project, begin: Begin, arguments: list[str], num_runs: int
) -> None:
    project.environment["OMP_NUM_THREADS"] = "1"
    process = begin(*arguments)
    wait_until(lambda: num_training(project.root) == num_runs or process.poll(), "training", seconds=400)
    assert stop(process, signal.SIGTERM, whole_group=False) < 10
    wait_until(lambda: not members(process.pid), "children end", seconds=10)
    assert statuses(project.root) == ["KILLED"] * (num_runs + 1), (project.root / "out.txt").read_text()
    for trial in (project.root / "runs").glob("searches/*/trials/*.json"):
        assert '"attempts": 0' in trial.read_text(), "to be stopped is not to fail"


def test_workers_of_a_launcher_end_when_their_command_is_killed(project: Project, begin: Begin) -> None:
    project.environment["OMP_NUM_THREADS"] = "1"
    process = begin(*JOBLIB, "seed=0,1")
    wait_until(lambda: num_training(project.root) == 2 or process.poll(), "training", seconds=400)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not members(process.pid), "workers end", seconds=10)


def test_loader_workers_end_when_training_is_killed_and_the_same_command_need_not_wait(
    project: Project, begin: Begin
) -> None:
    process = begin(*RESUMED)
    project.wait_for("epoch 2/10", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert members(process.pid), "the workers are still there"
    again = begin(*RESUMED)
    wait_until(lambda: not members(process.pid), "workers end", seconds=15)
    assert again.wait(120) == 0, (project.root / "out.txt").read_text()


def test_second_process_of_a_distributed_training_ends_with_the_first(project: Project, begin: Begin) -> None:
    process = begin(*LONG, "trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
    project.wait_for("epoch 2/", process)
    assert len(members(process.pid)) == 2
    assert stop(process, signal.SIGTERM, whole_group=False) < 10
    wait_until(lambda: not members(process.pid), "the second process ends", seconds=10)
    assert statuses(project.root) == ["KILLED"]


def test_stopped_stage_leaves_no_draft(project: Project, begin: Begin) -> None:
    project.run(
        *(sys.executable, "-m", "pipeline.compose", "brain.yaml", "experiment=brain_unet"),
    )
    process = begin("brain.yaml", "out", module="pipeline.prepare")
    wait_until(lambda: drafts(project.root) or process.poll(), "preparing", seconds=60)
    assert stop(process, signal.SIGTERM, whole_group=False) < 10
    assert drafts(project.root) == []
    project.python("pipeline.prepare", "brain.yaml", "out")


def test_search_by_its_stage_waits_for_the_one_that_a_killed_dvc_left(project: Project, begin: Begin) -> None:
    arguments = [*(each for each in TINY if "batch_size" not in each), "trainer.max_epochs=1"]
    arguments += ["search=coarse", "search.trials=2"]
    project.run(sys.executable, "-m", "pipeline.compose", "all.yaml", *arguments)
    first = begin("all.yaml", "one", *arguments, module="pipeline.search")
    wait_until(lambda: num_training(project.root) or first.poll(), "training", seconds=400)
    os.kill(first.pid, signal.SIGSTOP)
    second = begin("all.yaml", "two", *arguments, module="pipeline.search")
    project.wait_for(f"search digits_lenet5-coarse is being run by process {first.pid} on ", second)
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait(300) == second.wait(300) == 0
    one, two = (project.root / name / "best.yaml" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
