"""Data without a test split: training ends, and evaluation, report and comparisons say the validation score."""

import csv
import json
import math
import shutil
import sys
from pathlib import Path

import pytest

from pipeline import evaluate as command
from pipeline.declaration.declaration import Declaration
from pipeline.files import yaml_text
from pipeline.report import report
from pipeline.runs.cache import publish
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RESULTS, RunFolder
from pipeline.tracking.store import Store
from pipeline.training.agreement import find_examples
from pipeline.training.evaluation import evaluate, evaluate_elsewhere, replace_data
from pipeline.training.inputs import prepare
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import open_trained
from tests.makers import write_class_folders, write_image_masks
from tests.refusals import refused
from tests.tasks.kinds import CLASSES
from tests.tasks.test_contract import declare

pytestmark = pytest.mark.slow


def declare_untested(task: str, root: Path, *, is_drawn: bool) -> Declaration:
    """Return a declaration of a task on data without a test split."""
    declaration = declare(task, root)
    (root / "data.zip").unlink()
    splits = () if is_drawn else ("train", "val")
    if task == "segmentation":
        write_image_masks(root / "data.zip", num_classes=len(CLASSES), splits=splits, num_images=9)
    else:
        write_class_folders(root / "data.zip", classes=CLASSES, splits=splits, num_images=9)
    split = {"val": 0.3, "seed": 0} if is_drawn else "folders"
    return declaration.replace(data={**declaration.sections["data"], "split": split})


@pytest.fixture(
    scope="module", params=[("classification", True), ("classification", False), ("segmentation", True)]
)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Declaration, RunFolder]:
    task, is_drawn = request.param
    root = tmp_path_factory.mktemp("untested")
    declaration = declare_untested(task, root, is_drawn=is_drawn)
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(root))
    return root, declaration, run


def test_evaluation_writes_the_validation_score_and_no_other(
    trained: tuple[Path, Declaration, RunFolder],
) -> None:
    root, _, run = trained
    assert evaluate(run, root / "out", root=root) == {}
    assert json.loads((root / "out" / "scores.json").read_text()) == {}
    row = json.loads((root / "out" / "metrics.json").read_text())
    assert list(row) == ["score_of", "val_score"]
    assert row["val_score"] == run.metrics()["score"]
    for name in ("cases", "groups"):
        with (root / "out" / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.reader(file))) == 1  # the header
    assert list((root / "out" / "pictures").iterdir()) == []
    logged = Store(root, "tiny").client.get_run(run.state()["mlflow_run_id"]).data.metrics
    assert not [name for name in logged if name.startswith("test/")]


def test_command_says_so_in_one_sentence_with_the_way_out(
    trained: tuple[Path, Declaration, RunFolder],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, declaration, run = trained
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["evaluate", str(run.path), "said"])
    command.main()
    name = {"tiny_classification": "accuracy", "tiny_segmentation": "Dice"}[declaration.name]
    assert capsys.readouterr().out == (
        f"{declaration.name} ({run.path.relative_to(root)}): the data have no test split, the validation {name} is "
        f"{run.metrics()['score']:.4f}; `python -m pipeline.evaluate {run.path} <folder to write> data=<other>` scores "
        "other data\n"
    )
    assert Path("said/metrics.json").is_file()


def test_other_data_can_be_scored(trained: tuple[Path, Declaration, RunFolder], tmp_path: Path) -> None:
    root, declaration, run = trained
    opened = open_trained(run, root=root)
    other = replace_data(declaration, {**declaration.sections["data"], "name": "other"})
    scores = evaluate_elsewhere(opened, other, tmp_path / "out", root=root, split="all")
    assert not math.isnan(next(iter(scores.values()))["value"])
    with refused("data.root", hint="set split=all to score all of them"):
        evaluate_elsewhere(opened, other, tmp_path / "none", root=root, split="test")
    examples = find_examples(opened, root=root)
    images, what = examples.images, examples.name
    assert what == f"{len(images)} validation images"


def test_report_shows_validation_scores_as_such(trained: tuple[Path, Declaration, RunFolder]) -> None:
    root, declaration, run = trained
    artifacts = root / "artifacts"
    (artifacts / "search" / "tiny").mkdir(parents=True)
    (artifacts / "search" / "tiny" / "best.yaml").write_text(yaml_text(dict(declaration.sections)))
    publish(artifacts / "search" / "tiny", artifacts / "search" / "tiny", root=root)
    publish(prepare(declaration, root=root), artifacts / "prepare" / "tiny", root=root)
    publish(run.path, artifacts / "train" / "tiny", root=root, names=RESULTS)
    evaluate(run, root / "draft", root=root)
    publish(root / "draft", artifacts / "evaluate" / "tiny", root=root)
    report(artifacts, artifacts / "report")
    page = (artifacts / "report" / "report.html").read_text()
    assert "<h3>Validation scores</h3>" in page
    assert "there is no test split" in page
    text = (artifacts / "report" / "report.md").read_text()
    score = run.metrics()["score"]
    assert (
        f"validation {'Dice' if 'segmentation' in declaration.name else 'accuracy'} {score:.3f} (there is"
        in text
    )
    shutil.rmtree(artifacts)
