"""`dvc repro`: runs what changed and nothing else, compares with what git has, and survives being killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.dvc import DIGITS, SOURCE, TRAINING, change, metrics, pull_data, shrink, stages_run
from tests.doors.project import Project, kill_group

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reproduced(clone: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone in which everything was reproduced once, from the bundled store."""
    project = clone(tmp_path_factory.mktemp("reproduced"))
    assert not (project.root / "data").exists()
    shrink(project)
    pull_data(project)
    said = project.run("dvc", "repro")
    assert stages_run(said) == ["compose", "prepare", "statistics", *TRAINING]
    return project


def test_nothing_runs_the_second_time(copy: Project) -> None:
    assert stages_run(copy.run("dvc", "repro")) == []
    assert (copy.root / "artifacts" / "report" / "report.html").stat().st_size > 10_000


def test_comment_in_conf_runs_compose_alone(copy: Project) -> None:
    change(copy, "conf/model/lenet5.yaml", "name: lenet5", "# a remark\nname: lenet5")
    assert stages_run(copy.run("dvc", "repro")) == ["compose"]


def test_page_of_the_docs_runs_nothing(copy: Project) -> None:
    change(copy, "README.md", "# Convoy", "# Convoy, a remark")
    assert stages_run(copy.run("dvc", "repro")) == []


@pytest.mark.parametrize("what", ["comment", "docstring", "task", "source", "step"])
def test_code_that_decides_nothing_here_runs_compose_alone(copy: Project, what: str) -> None:
    """A comment and a docstring of code that decides; a new task, a new source, and a step that no experiment names."""
    pipeline = copy.root / "pipeline"
    if what == "comment":
        change(copy, "pipeline/data/prepared.py", "def write_prepared", "# a remark\ndef write_prepared")
    elif what == "docstring":
        change(
            copy,
            "pipeline/training/learner.py",
            '"""Train a model on a task, and',
            '"""Fit a model to a task, and',
        )
    elif what == "task":
        (pipeline / "tasks" / "mine").mkdir()
        for name in ("__init__", "demands", "task", "cases"):
            (pipeline / "tasks" / "mine" / f"{name}.py").write_text("VALUE = 1\n")
    elif what == "source":
        (pipeline / "data" / "sources" / "mine.py").write_text(SOURCE)
    else:
        change(copy, "pipeline/transforms/steps/pca_color.py", "255 * offset", "254 * offset")
    assert stages_run(copy.run("dvc", "repro")) == ["compose"]


def test_activation_runs_train_and_later(copy: Project) -> None:
    change(copy, "params.yaml", "augmentation=steps", "augmentation=steps model.activation=tanh")
    before = metrics(copy)
    assert stages_run(copy.run("dvc", "repro")) == ["compose", *TRAINING]
    assert metrics(copy) != before


def test_preprocessing_runs_statistics_and_later(copy: Project) -> None:
    change(copy, "params.yaml", "augmentation=steps", "augmentation=steps preprocess=unit")
    assert stages_run(copy.run("dvc", "repro")) == ["compose", "statistics", *TRAINING]


def test_views_of_test_images_run_evaluate_and_later(copy: Project) -> None:
    change(copy, "params.yaml", "augmentation=steps", "augmentation=steps views=flips")
    before = metrics(copy)
    assert stages_run(copy.run("dvc", "repro")) == ["compose", "search", "evaluate", "report"]
    after = metrics(copy)
    assert after["train"] == before["train"]
    assert after["evaluate"] != before["evaluate"]


def test_draws_made_in_advance_are_kept_by_dvc_and_change_no_result(copy: Project) -> None:
    before = metrics(copy)
    change(copy, "params.yaml", "augmentation=steps", "augmentation=steps augmentation.copies=8")
    change(copy, "params.yaml", "augmented: {}", "augmented: {digits_lenet5: {}}")
    said = copy.run("dvc", "repro")
    assert sorted(stages_run(said)) == ["augment", "compose", "evaluate", "report", "search", "train"]
    assert "8 drawn copies of 1,159 training images take 9,494,528 bytes" in said
    assert (copy.root / "artifacts/augment/digits_lenet5/images.npy").stat().st_size > 9_000_000
    assert metrics(copy) == before, "copy k is what epoch k would have drawn"


def test_nested_size_of_a_step_runs_train_and_later(copy: Project) -> None:
    change(copy, "conf/augmentation/steps.yaml", "size: [28, 28]", "size: [30, 30]")
    before = metrics(copy)
    assert stages_run(copy.run("dvc", "repro")) == ["compose", *TRAINING]
    assert metrics(copy) != before, "the run cache gave back the old result"


def test_touched_archive_is_refused_with_the_way_out(copy: Project) -> None:
    archive = copy.root / "data" / "digits.zip"
    content = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(content)
    with zipfile.ZipFile(archive, "a") as touched:
        touched.writestr("train/0/more.png", b"")
    said = copy.run("dvc", "repro", fails=True)
    assert re.search(r"error: data.digest: data/digits.zip .* expected sha256:bbf7.*, found sha256:", said)
    (way_out,) = re.findall(r"restore it with `(.*?)`", said)
    copy.run("bash", "-c", way_out)
    assert archive.read_bytes() == content
    copy.run("dvc", "repro")


def test_single_run_shares_what_dvc_made(copy: Project) -> None:
    said = copy.python("pipeline.train", "experiment=digits_lenet5", *DIGITS.split())
    assert "epoch 1/" not in said, "the run that dvc trained was trained again"


def test_killed_trainer_killed_dvc_and_interrupt_end_with_equal_metrics(
    reproduced: Project, clone: Callable[[Path], Project], tmp_path: Path
) -> None:
    project = clone(tmp_path / "killed")
    shrink(project)
    pull_data(project)

    repro = project.start("dvc", "repro")
    project.wait_for("epoch 2/8", repro)
    os.kill(trainer_of(project), signal.SIGKILL)
    assert repro.wait(60) != 0

    repro = project.start("dvc", "repro")
    project.wait_for("epoch 4/8", repro)
    os.killpg(repro.pid, signal.SIGINT)
    assert repro.wait(60) != 0

    repro = project.start("dvc", "repro")
    project.wait_for("epoch 6/8", repro)
    os.kill(repro.pid, signal.SIGKILL)  # leaves the trainer running as an orphan
    repro.wait()
    try:
        project.run("dvc", "repro")
    finally:
        with_orphan(repro)
    assert metrics(project) == metrics(reproduced)


def trainer_of(project: Project) -> int:
    (lock,) = (project.root / "runs").glob("*/lock")
    return int(lock.read_text().split()[1])


def with_orphan(process: subprocess.Popen[str]) -> None:
    """End what a killed dvc left behind."""
    try:
        kill_group(process)
    except ProcessLookupError:
        return
