"""Evaluation on an external test set: its scores, where they are logged, and which data are refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pipeline.data.archive import archive_digest
from pipeline.runs.context import RunContext
from pipeline.tracking.store import Store
from pipeline.training.evaluation import evaluate, evaluate_elsewhere, replace_data
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Trained, open_trained
from tests.makers import write_class_folders
from tests.refusals import refused
from tests.tasks.kinds import CLASSES
from tests.tasks.test_contract import declare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    root = tmp_path_factory.mktemp("elsewhere")
    run = train(declare("classification", root), RunRequest("test", "test", waits=False), RunContext(root))
    return open_trained(run, root=root), root


def test_own_test_images_in_another_archive_get_the_scores_of_evaluation(
    trained: tuple[Trained, Path],
) -> None:
    run, root = trained
    write_class_folders(root / "other", classes=CLASSES, num_images=2)
    data = {**run.declaration.sections["data"], "name": "other+lab", "root": str(root / "other")}
    own = evaluate(run.folder, root / "own", root=root)
    other = replace_data(run.declaration, data)
    assert json.dumps(evaluate_elsewhere(run, other, root / "out", root=root, split="test")) == json.dumps(
        own
    )
    assert (root / "out" / "cases.csv").read_text() == (root / "own" / "cases.csv").read_text()

    row = json.loads((root / "out" / "metrics.json").read_text())
    assert (row["data"], row["split"], row["images"]) == ("other+lab", "test", 2 * len(CLASSES))
    assert row["data_digest"] == archive_digest(root / "other", memory=root / "digests.json")
    logged = Store(root, "tiny").client.get_run(run.folder.state()["mlflow_run_id"]).data.metrics
    assert logged["test_other:2b:lab/accuracy"] == logged["test/accuracy"] == own["accuracy"]["value"]


def test_images_of_another_size_are_resized_to_the_shape_of_the_run(trained: tuple[Trained, Path]) -> None:
    run, root = trained
    write_class_folders(root / "large.zip", classes=CLASSES[1:], splits=[], sides=(20, 30))
    data = {**run.declaration.sections["data"], "root": str(root / "large.zip"), "shape": [1, 20, 30]}
    scores = evaluate_elsewhere(
        run, replace_data(run.declaration, data), root / "large", root=root, split="all"
    )
    assert 0 <= scores["accuracy"]["value"] <= 1
    with (root / "large" / "cases.csv").open(newline="") as file:
        assert {row["actual"] for row in csv.DictReader(file)} == set(CLASSES[1:])


def test_data_with_other_classes_points_or_channels_are_refused(trained: tuple[Trained, Path]) -> None:
    run, _ = trained
    data = run.declaration.sections["data"]
    for name, value in (("classes", CLASSES[::-1]), ("background", CLASSES[1]), ("points", ["tip"])):
        with refused(f"data.{name}", got=value, hint="the run cannot be scored on others"):
            replace_data(run.declaration, {**data, name: value})
    with refused("data.shape", got=3, allowed="1 channels, as of the data that the run was trained on"):
        replace_data(run.declaration, {**data, "shape": [3, 8, 8]})
    with refused("task", hint="choose another task= or data="):
        replace_data(run.declaration, {**data, "format": "image_masks"})


def test_resize_rule_of_the_run_holds_for_other_data_and_its_range_of_values_unless_they_have_one(
    trained: tuple[Trained, Path],
) -> None:
    run, _ = trained
    own = run.declaration.sections["data"]
    rule = {"resize": "letterbox", "padding_value": 9, "value_range": [0, 4095]}
    declaration = run.declaration.replace(data={**own, **rule})
    other = replace_data(declaration, {**own, "resize": "crop", "name": "other"}).data
    assert {key: getattr(other, key) for key in rule} == rule
    wider = replace_data(declaration, {**own, "value_range": [0, 65535]}).data
    assert wider.value_range == [0, 65535]
