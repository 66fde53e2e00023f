"""Commands side by side: nothing fails, no row is lost or logged twice, and nothing is left running.

`CAMPAIGN_PROCESSES` sets how many commands run at once (16): each needs about half a gigabyte of memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.declaration.composition import compose
from pipeline.declaration.keys import write_declaration
from pipeline.runs.folder import RunFolder
from tests.doors.dvc import PARAMS, shrink
from tests.doors.project import TINY, Project, clone_checkout, empty_project
from tests.tidy import assert_tidy, rows, statuses

PROCESSES = int(os.environ.get("CAMPAIGN_PROCESSES", "16"))
QUICK = [*TINY, "trainer.max_epochs=2"]
TRAIN = [sys.executable, "-m", "pipeline.train"]
BUSY = ("Unable to acquire lock", "is busy, it is being blocked by")  # how DVC refuses a second `dvc repro`


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return empty_project(tmp_path)


def run_together(project: Project, commands: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """Run commands at once; return the exit status of each, and what it printed."""
    files = [(project.root / f"said{number}.txt").open("w+") for number in range(len(commands))]
    started = [
        subprocess.Popen(
            command, cwd=project.root, env=project.environment, stdout=file, stderr=subprocess.STDOUT
        )
        for command, file in zip(commands, files, strict=True)
    ]
    ended = []
    for process, file in zip(started, files, strict=True):
        status = process.wait(3600)
        file.seek(0)
        ended.append((status, file.read()))
        file.close()
    return ended


def assert_succeeded(ended: Sequence[tuple[int, str]]) -> None:
    assert [said for status, said in ended if status] == []


def declared(project: Project, name: str, *overrides: str) -> str:
    """Write a declaration as the stage `compose` does; return its name."""
    write_declaration(compose([*QUICK, *overrides]), project.root / name, root=project.root)
    return name


def assert_logged(project: Project, *, num_runs: int, num_epochs: int = 2) -> None:
    """Check that each run has all its epochs and its final score, once."""
    assert_tidy(project.root)
    finished = {folder: each for folder, each in statuses(project.root).items() if "sweeps" not in folder}
    assert finished == {folder: ["FINISHED"] for folder in finished}
    assert len(finished) == num_runs
    epochs = rows(project.root, "SELECT run_uuid, count(*) FROM metrics WHERE key = 'train/loss' GROUP BY 1")
    assert [count for _, count in epochs] == [num_epochs] * num_runs
    for folder in finished:
        assert RunFolder(project.root / folder).is_finished()


def check_different(project: Project, count: int) -> None:
    """Train different runs at once in a project without a database, prepared data or statistics."""
    ended = run_together(project, [[*TRAIN, *QUICK, f"seed={seed}"] for seed in range(count)])
    assert_succeeded(ended)
    assert_logged(project, num_runs=count)
    assert len(list((project.root / "cache" / "prepare").glob("*/key"))) == 1


def check_equal(project: Project, count: int) -> None:
    """Run a stage of one declaration several times at once."""
    name = declared(project, "declared.yaml")
    ended = run_together(project, [[*TRAIN, name, f"out{number}"] for number in range(count)])
    assert_succeeded(ended)
    assert_logged(project, num_runs=1)
    weights = {(project.root / f"out{number}" / "weights.pt").read_bytes() for number in range(count)}
    assert len(weights) == 1
    assert sum("epoch 1/2" in said for _, said in ended) == 1


@pytest.mark.slow
def test_two_different_runs_train_at_once(project: Project) -> None:
    check_different(project, 2)


@pytest.mark.campaign
def test_many_different_runs_train_at_once(project: Project) -> None:
    check_different(project, PROCESSES)


@pytest.mark.campaign
def test_equal_runs_are_trained_once(project: Project) -> None:
    check_equal(project, max(2, PROCESSES // 2))


@pytest.mark.campaign
def test_equal_commands_train_once_and_the_others_say_by_whom(project: Project) -> None:
    ended = run_together(project, [[*TRAIN, *QUICK]] * max(2, PROCESSES // 2))
    refused = [said for status, said in ended if status]
    assert len(refused) < len(ended)
    for said in refused:
        (sentence,) = (line for line in said.splitlines() if line.startswith("error: "))
        assert "is being trained by process " in sentence
        assert "Traceback" not in said
    assert_logged(project, num_runs=1)


@pytest.mark.campaign
def test_sweep_and_stage_that_share_a_run_wait_for_each_other(project: Project) -> None:
    name = declared(project, "declared.yaml", "seed=1")
    sweep = [*TRAIN, "-m", *QUICK, "seed=0,1,2"]
    assert_succeeded(run_together(project, [sweep, [*TRAIN, name, "out"], sweep]))
    assert_tidy(project.root)
    trained = {folder: each for folder, each in statuses(project.root).items() if "sweeps" not in folder}
    assert len(trained) == 3
    assert {status for each in statuses(project.root).values() for status in each} == {"FINISHED"}
    children = "SELECT value, count(*) FROM tags WHERE key = 'mlflow.parentRunId' GROUP BY value"
    assert [count for _, count in rows(project.root, children)] == [3, 3]


@pytest.mark.campaign
def test_two_reproductions_at_once_leave_whole_results(tmp_path: Path) -> None:
    project = clone_checkout(tmp_path / "clone")
    shrink(project, PARAMS.replace("max_epochs=8", "max_epochs=2"))
    project.run("dvc", "pull", "--quiet", "--remote", "store", "data.dvc")
    ended = run_together(project, [["dvc", "repro"], ["dvc", "repro"]])
    for status, said in ended:
        assert status == 0 or any(text in said for text in BUSY), said
        assert "Traceback" not in said
    project.run("dvc", "repro")
    assert "Running stage" not in project.run("dvc", "repro")
    assert_logged(project, num_runs=1)
    assert (project.root / "artifacts" / "report" / "report.html").is_file()
