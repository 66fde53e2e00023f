"""A run of each task is evaluated and shown in the report, with every score, class and picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.report import report
from pipeline.runs.context import RunContext
from pipeline.storage.sealed import write_digests
from pipeline.tasks.demands import load_demands
from pipeline.training.evaluation import evaluate
from pipeline.training.inputs import prepare
from pipeline.training.run import RunRequest, train
from tests.reports import Page
from tests.tasks.kinds import CLASSES
from tests.tasks.rows import ROWS
from tests.tasks.test_contract import declare


@pytest.mark.parametrize("name", sorted(ROWS))
def test_report_shows_scores_classes_and_pictures_of_a_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    declaration = declare(name, tmp_path, max_epochs=1)
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    evaluated, searched, prepared, trained = (
        tmp_path / "artifacts" / stage / declaration.name
        for stage in ("evaluate", "search", "prepare", "train")
    )
    for folder in (evaluated, searched):
        folder.mkdir(parents=True)
    evaluate(run, evaluated, root=tmp_path)
    (searched / "best.yaml").write_text(declaration.text())
    for folder in (evaluated, searched):
        write_digests(folder)
    shutil.copytree(prepare(declaration, root=tmp_path), prepared)
    shutil.copytree(run.path, trained)
    report(tmp_path / "artifacts", tmp_path / "report")
    page = Page((tmp_path / "report" / "report.html").read_text("utf-8"))
    for title in load_demands(declaration.task).scores(declaration.data).values():
        assert title in page.text
    for each in CLASSES:
        assert each in page.text
    pictures = [reference for reference in page.references if reference[:2] == ("img", "src")]
    assert len(pictures) > len(list((evaluated / "pictures").glob("*.png"))) > 0
