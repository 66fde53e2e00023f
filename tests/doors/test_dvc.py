"""`dvc repro`: runs what changed and nothing else, compares with what git has, and survives being killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.project import Project, kill_group

pytestmark = pytest.mark.slow

DIGITS = "trainer.batch_size=256 trainer.max_epochs=8 augmentation=steps tracking.log_model=false"
BRAIN = "data.shape=[1,48,40] model.width=0.5 trainer.max_epochs=1 augmentation=none tracking.log_model=false"
EXPERIMENT = '  digits_lenet5: {{data: digits, overrides: "{}"}}\n'
PARAMS = f"experiments:\n{EXPERIMENT.format(DIGITS)}augmented: {{}}\n"
TWO = PARAMS.replace("augmented", f'  brain_unet: {{data: brain, overrides: "{BRAIN}"}}\naugmented').replace(
    "=8", "=2"
)
STEPS = """\
# Crop and enlarge again, then pad and crop.
steps:
  - {_target_: albumentations.RandomResizedCrop, size: [28, 28], scale: [0.8, 1.0], p: 1.0}
  - {_target_: albumentations.Resize, height: 32, width: 32}
  - {_target_: pipeline.transforms.steps.pad_crop.PadCrop, rows: 32, columns: 32, padding: 0.125}
"""
TRAINING = ["search", "train", "evaluate", "report"]
SOURCE = """\
from pipeline.data.sources import Sample

TARGET = "label"


def samples(archive: object, facts: object) -> list[Sample]:
    return []
"""


def metrics(project: Project) -> dict[str, object]:
    folder = project.root / "artifacts"
    found = {path.parent.parent.name: path.read_text() for path in folder.glob("*/*/metrics.json")}
    return {stage: json.loads(text) for stage, text in found.items()}


def stages_run(said: str) -> list[str]:
    """Return the names of the stages that ran, without their experiments."""
    return [name.partition("@")[0] for name in re.findall(r"Running stage '([\w@]+)", said)]


def runs_of(said: str, experiment: str) -> list[str]:
    """Return the names of the stages of one experiment that ran."""
    return re.findall(rf"Running stage '(\w+)@{experiment}'", said)


def change(project: Project, name: str, old: str, new: str) -> None:
    """Replace a text in a file of the project, which must be there."""
    path = project.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def shrink(project: Project, params: str = PARAMS) -> None:
    (project.root / "params.yaml").write_text(params)
    (project.root / "conf" / "augmentation" / "steps.yaml").write_text(STEPS)
    (project.root / "dvc.lock").unlink(missing_ok=True)


def commit(project: Project) -> None:
    project.run("git", "add", "--all")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "results")


@pytest.fixture(scope="module")
def reproduced(clone: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone in which everything was reproduced once, from the bundled store."""
    project = clone(tmp_path_factory.mktemp("reproduced"))
    assert not (project.root / "data").exists()
    shrink(project)
    said = project.run("dvc", "repro", "--pull")
    assert stages_run(said) == ["compose", "prepare", "statistics", *TRAINING]
    return project


@pytest.fixture(scope="module")
def recorded(clone: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone in which a classification and a segmentation were reproduced, and their results committed."""
    project = clone(tmp_path_factory.mktemp("recorded"))
    shrink(project, TWO)
    project.run("dvc", "repro", "--pull")
    project.python("pipeline.verify", "record=true")
    commit(project)
    return project


def test_nothing_runs_the_second_time(copy: Project) -> None:
    assert stages_run(copy.run("dvc", "repro", "--pull")) == []
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
            copy, "pipeline/training/learner.py", '"""Train a model on a task;', '"""Fit a model to a task;'
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
    archive.write_bytes(content + b"x")
    said = copy.run("dvc", "repro", fails=True)
    assert re.search(r"error: data.digest: data/digits.zip .* expected sha256:9a81.*, found sha256:", said)
    (way_out,) = re.findall(r"restore it with `(.*?)`", said)
    copy.run("bash", "-c", way_out)
    assert archive.read_bytes() == content
    copy.run("dvc", "repro")


def test_single_run_shares_what_dvc_made(copy: Project) -> None:
    said = copy.python("pipeline.train", "experiment=digits_lenet5", *DIGITS.split())
    assert "epoch 1/" not in said, "the run that dvc trained was trained again"


def test_code_of_a_task_or_a_step_trains_the_experiments_that_use_it_alone(
    recorded: Project, tmp_path: Path
) -> None:
    project = copy_of(recorded, tmp_path / "edited")
    change(
        project,
        "pipeline/tasks/segmentation/task.py",
        "(2 * common + 1) / (total + 1)",
        "(2 * common + 2) / (total + 2)",
    )
    said = project.run("dvc", "repro")
    assert stages_run(said) == ["compose", *TRAINING]
    assert runs_of(said, "brain_unet") == TRAINING[:-1]
    change(
        project,
        "pipeline/transforms/steps/pad_crop.py",
        "int(side * self.padding)",
        "int(side * self.padding) + 1",
    )
    said = project.run("dvc", "repro")
    assert stages_run(said) == ["compose", *TRAINING]
    assert runs_of(said, "digits_lenet5") == TRAINING[:-1]
    said = project.python("pipeline.verify")
    assert said.endswith("not all reproduced: 0 of 2 experiments equal the recorded results\n")
    assert (
        "its code or versions of libraries differ from HEAD: git diff HEAD -- artifacts/compose/brain_unet.json"
        in said
    )
    assert re.search(r"score 0\.\d{4}, recorded 0\.\d{4}, difference [+-]0\.\d{4}", said)


def test_two_clones_in_different_folders_give_the_same_bytes(recorded: Project, tmp_path: Path) -> None:
    """git sees no change after a reproduction elsewhere: dvc.lock holds the digest of every out."""
    recorded.run("git", "clone", "--quiet", str(recorded.root), str(tmp_path / "elsewhere" / "clone"))
    project = Project(tmp_path / "elsewhere" / "clone")
    said = project.run("dvc", "repro", "--pull")
    assert len(stages_run(said)) >= 2 + 5 * 2 - 1  # nothing is in the cache of a fresh clone
    assert project.run("git", "status", "--porcelain") == ""
    said = project.python("pipeline.verify")
    assert said == "reproduced: 2 of 2 experiments equal the recorded results\n"
    lock = (project.root / "dvc.lock").read_text()
    for out in (
        "weights.pt",
        "scores.json",
        "artifacts/report",
        "artifacts/prepare/brain_unet",
        "history.csv",
    ):
        assert out in lock
    for private in ("run.json", "timing.csv", str(tmp_path)):
        assert private not in lock


def test_environment_is_named_where_results_differ(recorded: Project, tmp_path: Path) -> None:
    project = copy_of(recorded, tmp_path / "other")
    change(project, "artifacts/recorded.json", '"cores": "', '"cores": "1')
    change(
        project,
        "dvc.lock",
        "artifacts/train/digits_lenet5/weights.pt\n      hash: md5\n      md5: ",
        "artifacts/train/digits_lenet5/weights.pt\n      hash: md5\n      md5: f",
    )
    commit(project)
    project.run("git", "checkout", "--quiet", "HEAD~1", "--", "dvc.lock", "artifacts/recorded.json")
    said = project.python("pipeline.verify")
    assert "digits_lenet5: other bytes in train/digits_lenet5/weights.pt\n" in said
    assert re.search(r"  cores: (\d+) here, 1\1 recorded", said)
    assert said.endswith("not all reproduced: 1 of 2 experiments equal the recorded results\n")


def test_metrics_experiments_and_plots_are_compared_by_dvc(recorded: Project, tmp_path: Path) -> None:
    project = copy_of(recorded, tmp_path / "compared")
    project.environment["COLUMNS"] = "120"
    shown = project.run("dvc", "metrics", "show")
    assert max(map(len, shown.splitlines())) <= 120
    assert shown.split()[:4] == ["Path", "score", "low", "high"]
    assert len(shown.splitlines()) == 3, "one row per experiment"
    change(project, "params.yaml", "trainer.max_epochs=1 ", "trainer.max_epochs=2 ")
    project.run("dvc", "repro")
    commit(project)
    for command in (
        ["metrics", "diff", "HEAD~1"],
        ["plots", "diff", "HEAD~1", "--json"],
        ["exp", "show", "--csv"],
    ):
        said = project.run("dvc", *command)
        assert not re.search(r"failed to load|Failed to load|[,\s]![,\s]", said), said
        assert "brain_unet" in said
    before, after = (
        json.loads(project.run("git", "show", f"{rev}:artifacts/evaluate/brain_unet/metrics.json"))
        for rev in ("HEAD~1", "HEAD")
    )
    assert before["score"] != after["score"]
    assert f"{after['score']:.5g}"[:5] in project.run("dvc", "metrics", "diff", "HEAD~1")


def test_variant_of_an_experiment_is_shown_beside_what_git_has(recorded: Project, tmp_path: Path) -> None:
    project = copy_of(recorded, tmp_path / "variant")
    overrides = f"{BRAIN} optimizer.lr=0.01"
    project.run(
        "dvc", "exp", "run", "--name", "faster", "-S", f"experiments.brain_unet.overrides='{overrides}'"
    )
    shown = project.run("dvc", "exp", "show", "--csv")
    assert "faster" in shown
    assert not re.search(r"failed to load|Failed to load|[,\s]![,\s]", shown), shown


def copy_of(project: Project, target: Path) -> Project:
    """Return a copy of a project, to be changed."""
    shutil.copytree(project.root, target, symlinks=True)
    return Project(target)


def test_killed_trainer_killed_dvc_and_interrupt_end_with_equal_metrics(
    reproduced: Project, clone: Callable[[Path], Project], tmp_path: Path
) -> None:
    project = clone(tmp_path / "killed")
    shrink(project)

    repro = project.start("dvc", "repro", "--pull")
    project.wait_for("epoch 2/8", repro)
    os.kill(trainer_of(project), signal.SIGKILL)
    assert repro.wait(60) != 0

    repro = project.start("dvc", "repro", "--pull")
    project.wait_for("epoch 4/8", repro)
    os.killpg(repro.pid, signal.SIGINT)
    assert repro.wait(60) != 0

    repro = project.start("dvc", "repro", "--pull")
    project.wait_for("epoch 6/8", repro)
    os.kill(repro.pid, signal.SIGKILL)  # leaves the trainer running as an orphan
    repro.wait()
    try:
        project.run("dvc", "repro", "--pull")
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
