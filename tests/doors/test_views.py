"""Test images: a finished run brings what its evaluation needs, and can be seen in other ways."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.declaration.composition import compose
from pipeline.evaluate import evaluate
from pipeline.runs.folder import RunFolder
from pipeline.training.run import RunRequest, train
from tests.doors.project import ROOT, TINY, Project


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path]:
    project = Project(tmp_path_factory.mktemp("views"))
    (project.root / "data").symlink_to(ROOT / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        config = compose([*TINY, "trainer.max_epochs=2", "input_shape=[1,32,32]", "data.shape=[1,36,36]"])
        run = train(config, RunRequest("hydra", "views", waits=False), root=project.root)
    return project, run.path


def accuracy(folder: Path) -> float:
    scores = json.loads((folder / "metrics.json").read_text())
    return float(scores["accuracy"]["value"])


def test_evaluation_needs_nothing_but_the_run_and_the_test_images(
    trained: tuple[Project, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, run = trained
    monkeypatch.chdir(project.root)
    shutil.rmtree(project.root / "cache" / "statistics")
    evaluate(RunFolder(run), tmp_path, root=project.root)
    assert accuracy(tmp_path) > 0.5
    assert not (project.root / "cache" / "statistics").exists()
    assert {file.name for file in (run / "statistics").iterdir()} >= {"statistics.json", "statistics.png"}


def test_run_is_scored_with_other_views_by_the_command(trained: tuple[Project, Path], tmp_path: Path) -> None:
    project, run = trained
    project.python("pipeline.evaluate", str(run), str(tmp_path / "whole"))
    said = project.python("pipeline.evaluate", str(run), str(tmp_path / "ten"), "views=ten_crop")
    assert "warning: views.mirror: test images are mirrored" in said, "digits are not symmetric"
    cases = [(tmp_path / name / "cases.csv").read_text() for name in ("whole", "ten")]
    assert cases[0] != cases[1]
    assert project.python(
        "pipeline.evaluate", str(run), str(tmp_path / "x"), "views=ten", fails=True
    ).startswith("error: views=ten: no such option; did you mean 'ten_crop'?")


def test_command_with_too_few_paths_shows_its_usage(project: Project) -> None:
    said = project.python("pipeline.evaluate", "runs/x", fails=True)
    assert said.startswith(
        "error: usage: python -m pipeline.evaluate <folder of train> <folder to write> [<decl"
    )
