"""A search behind the door of `dvc repro`: what it re-runs, and that it is the search of the other door."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.dvc import change, pull_data, stages_run
from tests.doors.project import ROOT, Project

pytestmark = pytest.mark.slow

TINY = (
    "search=tiny trainer.max_epochs=1 trainer.threads=1 trainer.batch_size=256 augmentation=none "
    "tracking.log_model=false"
)
PARAMS = f'experiments:\n  digits_lenet5: {{data: digits, overrides: "{TINY}"}}\naugmented: {{}}\n'
SPACE = """\
# @package _global_
# Two networks and a learning rate.
defaults: [override /hydra/sweeper: search, _self_]
search:
  name: tiny
  trials: 3
  seed: 3
  space:
    model: choice(linear, mlp)
    optimizer.lr: tag(log, interval(1.0e-3, 1.0e-1))
"""
LATER = ["train", "evaluate", "report"]


def declare(project: Project) -> None:
    (project.root / "params.yaml").write_text(PARAMS)
    (project.root / "conf" / "search" / "tiny.yaml").write_text(SPACE)
    (project.root / "dvc.lock").unlink(missing_ok=True)


def trained(project: Project) -> set[str]:
    return {path.parent.name for path in (project.root / "runs").glob("*/weights.pt")}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def reproduced(clone: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone in which a search was reproduced once, from the bundled store."""
    project = clone(tmp_path_factory.mktemp("searched"))
    declare(project)
    pull_data(project)
    said = project.run("dvc", "repro")
    assert stages_run(said) == ["compose", "prepare", "statistics", "search", *LATER]
    assert "3 of 3  trial 2" in said
    return project


def test_best_trial_is_what_was_trained_and_reported(reproduced: Project) -> None:
    found = reproduced.root / "artifacts" / "search" / "digits_lenet5"
    best = max(rows(found), key=lambda row: float(row["value"]))
    result = json.loads((reproduced.root / "artifacts/train/digits_lenet5/result.json").read_text())
    kept = (reproduced.root / "runs" / result["fingerprint"] / "config.yaml").read_text()
    assert f"lr: {best['optimizer.lr']}\n" in kept
    assert len(trained(reproduced)) == 4, "3 trials, of which the best is one, and the declared values"
    page = (reproduced.root / "artifacts" / "report" / "report.html").read_text(encoding="utf-8")
    assert "3 trials by random" in page
    assert best["optimizer.lr"] in page


def test_nothing_runs_the_second_time(copy: Project) -> None:
    assert stages_run(copy.run("dvc", "repro")) == []


def test_option_that_the_space_cannot_pick_runs_compose_alone(copy: Project) -> None:
    change(copy, "conf/model/vgg11.yaml", "name: vgg11", "name: vgg")
    assert stages_run(copy.run("dvc", "repro")) == ["compose"]


def test_option_that_the_space_can_pick_searches_anew(copy: Project) -> None:
    change(copy, "conf/model/mlp.yaml", "activation: relu", "activation: tanh")
    said = copy.run("dvc", "repro")
    assert stages_run(said)[:2] == ["compose", "search"]
    assert "options.model=mlp was" in said
    assert "3 of 3  trial 2" in said


def test_changed_space_searches_anew_and_keeps_what_was_there(copy: Project) -> None:
    before = trained(copy)
    change(copy, "conf/search/tiny.yaml", "interval(1.0e-3, 1.0e-1)", "interval(1.0e-4, 1.0e-2)")
    said = copy.run("dvc", "repro")
    assert stages_run(said) == ["compose", "search", *LATER]
    assert "it starts anew, and what was there lies in" in said
    aside = copy.root / "runs" / "searches" / "digits_lenet5-tiny.before1"
    assert len(list((aside / "trials").glob("*.json"))) == 3
    assert before < trained(copy)


def test_more_trials_go_on_from_those_that_are_there(copy: Project) -> None:
    change(copy, "conf/search/tiny.yaml", "trials: 3", "trials: 4")
    said = copy.run("dvc", "repro")
    assert stages_run(said)[:2] == ["compose", "search"]
    assert "4 of 4  trial 3" in said
    assert "3 of 4" not in said
    assert len(trained(copy)) == 5


def test_both_doors_find_the_same_best(reproduced: Project, copy: Project, tmp_path: Path) -> None:
    ours = reproduced.root / "artifacts" / "search" / "digits_lenet5"
    command = ("-m", "experiment=digits_lenet5", *TINY.split())
    said = copy.python("pipeline.train", *command)
    assert "  trial " not in said.split("best of 3 trials, ")[0], "a trial was done twice"
    other = Project(tmp_path / "other")
    shutil.copytree(ROOT / "conf", other.root / "conf")
    shutil.copytree(ROOT / "pipeline", other.root / "pipeline")
    (other.root / "data").symlink_to(ROOT / "data")
    declare(other)
    Project(other.root).python("pipeline.train", *command)
    theirs = other.root / "runs" / "searches" / "digits_lenet5-tiny" / "results"
    assert (theirs / "trials.csv").read_text() == (ours / "trials.csv").read_text()
    assert (theirs / "best.yaml").read_text() == (ours / "best.yaml").read_text()
