"""Results that git has: equal bytes elsewhere, compared by DVC, and trained again only where their code changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.dvc import (
    BRAIN,
    TRAINING,
    TWO,
    change,
    commit,
    copy_of,
    pull_data,
    runs_of,
    shrink,
    stages_run,
)
from tests.doors.project import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recorded(clone: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone in which a classification and a segmentation were reproduced, and their results committed."""
    project = clone(tmp_path_factory.mktemp("recorded"))
    shrink(project, TWO)
    pull_data(project)
    project.run("dvc", "repro")
    project.python("pipeline.verify", "record=true")
    commit(project)
    return project


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
        "other code or versions of libraries than at HEAD: git diff HEAD -- artifacts/compose/brain_unet.json"
        in said
    )
    assert re.search(r"score 0\.\d{4}, recorded 0\.\d{4}, difference [+-]0\.\d{4}", said)


def test_two_clones_in_different_folders_give_the_same_bytes(recorded: Project, tmp_path: Path) -> None:
    """git sees no change after a reproduction elsewhere: dvc.lock holds the digest of every out."""
    recorded.run("git", "clone", "--quiet", str(recorded.root), str(tmp_path / "elsewhere" / "clone"))
    project = Project(tmp_path / "elsewhere" / "clone")
    pull_data(project)
    said = project.run("dvc", "repro")
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
    assert shown.split()[:5] == ["Path", "score", "score_max", "score_min", "score_n"]
    assert len(shown.splitlines()) == 3, "one row per experiment"
    change(project, "params.yaml", "trainer.max_epochs=1 ", "trainer.max_epochs=1 seed=1 ")
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
