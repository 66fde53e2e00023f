"""Test images: a finished run brings what its evaluation needs, and can be seen in other ways."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.composition import compose
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.training.evaluation import evaluate
from pipeline.training.run import RunRequest, train
from tests.doors.project import ROOT, TINY, Project

LARGER = [*TINY, "trainer.max_epochs=2", "input_shape=[1,32,32]", "data.shape=[1,36,36]"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Path]:
    project = Project(tmp_path_factory.mktemp("views"))
    (project.root / "data").symlink_to(ROOT / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        run = train(compose(LARGER), RunRequest("hydra", "views", waits=False), RunContext(project.root))
    return project, run.path


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def test_evaluation_needs_nothing_but_the_run_and_the_test_images(
    trained: tuple[Project, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, run = trained
    monkeypatch.chdir(project.root)
    shutil.rmtree(project.root / "cache" / "statistics")
    scores = evaluate(RunFolder(run), tmp_path, root=project.root)
    assert scores["accuracy"]["value"] > 0.5
    assert not (project.root / "cache" / "statistics").exists()
    assert {file.name for file in (run / "statistics").iterdir()} >= {"statistics.json", "statistics.png"}


def test_metrics_are_the_score_of_the_task_and_scores_are_all_of_them(
    trained: tuple[Project, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, run = trained
    monkeypatch.chdir(project.root)
    scores = evaluate(RunFolder(run), tmp_path, root=project.root)
    assert json.dumps(read(tmp_path / "scores.json")) == json.dumps(scores), "NaN is equal to itself as text"
    assert scores.keys() == {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "calibration_error"}
    with (tmp_path / "cases.csv").open(newline="", encoding="utf-8") as file:
        cases = list(csv.DictReader(file))
    hits = [case["actual"] == case["predicted"] for case in cases]
    assert scores["accuracy"]["value"] == pytest.approx(sum(hits) / len(hits))
    forms = [case["file"].split("/")[-1].split("_")[0] for case in cases]
    shares = {
        form: sum(hit for hit, own in zip(hits, forms, strict=True) if own == form) / forms.count(form)
        for form in forms
    }
    with (tmp_path / "groups.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["group"]: row for row in csv.DictReader(file)}
    assert {form: float(row["accuracy"]) for form, row in rows.items()} == pytest.approx(shares, abs=1e-6)
    assert {form: int(row["images"]) for form, row in rows.items()} == {
        form: forms.count(form) for form in forms
    }
    kept = RunFolder(run).metrics()
    assert read(tmp_path / "metrics.json") == {
        "score": scores["accuracy"]["value"],
        "score_n": 3,  # the forms of the writers: too few for an interval
        "score_max": max(shares.values()),
        "score_min": min(shares.values()),
        "score_of": "accuracy",
        "val_score": kept["val/accuracy"],
    }


def test_run_is_scored_with_other_views_by_the_command(trained: tuple[Project, Path], tmp_path: Path) -> None:
    project, run = trained
    project.python("pipeline.evaluate", str(run), str(tmp_path / "whole"))
    said = project.python("pipeline.evaluate", str(run), str(tmp_path / "ten"), "views=ten_crop")
    assert "warning: views.mirror: test images are mirrored" in said, "digits are not symmetric"
    cases = [(tmp_path / name / "cases.csv").read_text() for name in ("whole", "ten")]
    assert cases[0] != cases[1]
    project.python("pipeline.compose", "ten.yaml", *LARGER, "views=ten_crop")
    project.python("pipeline.evaluate", str(run), str(tmp_path / "declared"), "ten.yaml")
    assert (tmp_path / "declared" / "cases.csv").read_text() == cases[1]
    assert project.python(
        "pipeline.evaluate", str(run), str(tmp_path / "x"), "views=ten", fails=True
    ).startswith("error: views: unknown option 'ten'; did you mean 'ten_crop'? allowed: ")


def test_command_with_too_few_paths_shows_its_usage(project: Project) -> None:
    said = project.python("pipeline.evaluate", "runs/x", fails=True)
    assert said.startswith(
        "error: python -m pipeline.evaluate: expected a run and a folder to write, got 'runs/x'; usage: python -m "
        "pipeline.evaluate <run> <folder to write> [<decl"
    )
