"""Evaluation of test images that belong to groups: their scores, and intervals over as many as can be trusted."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.declaration.declaration import Declaration
from pipeline.runs.context import RunContext
from pipeline.tracking.store import Store
from pipeline.training.evaluation import evaluate
from pipeline.training.run import RunRequest, train
from tests.makers import write_class_folders
from tests.tasks.test_contract import CLASSES, declare

pytestmark = pytest.mark.slow


def declare_groups(root: Path, *, num_groups: int) -> Declaration:
    """Return a declaration of data with an image of each class in every group."""
    declaration = declare("classification", root)
    (root / "data.zip").unlink()
    write_class_folders(root / "data.zip", classes=CLASSES, num_images=num_groups)
    return declaration.replace(data={**declaration.sections["data"], "groups": r"(\d+)\.png"})


def evaluated(root: Path, *, num_groups: int) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, str]]]:
    """Return what evaluation writes: metrics, scores, and the rows of the groups."""
    declaration = declare_groups(root, num_groups=num_groups)
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(root))
    evaluate(run, root / "out", root=root)
    metrics, scores = (
        json.loads((root / "out" / f"{name}.json").read_text()) for name in ("metrics", "scores")
    )
    with (root / "out" / "groups.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    logged = Store(root, "tiny").client.get_run(run.state()["mlflow_run_id"]).data.metrics
    assert logged["test/accuracy"] == scores["accuracy"]["value"]
    assert ("test/accuracy_low" in logged) == (not math.isnan(scores["accuracy"]["low"]))
    return metrics, scores, rows


def test_few_groups_have_scores_and_no_interval(tmp_path: Path) -> None:
    metrics, scores, rows = evaluated(tmp_path, num_groups=4)
    assert all(math.isnan(each[part]) for each in scores.values() for part in ("low", "high"))
    assert [(row["group"], row["images"]) for row in rows] == [(f"{place:03}", "3") for place in range(4)]
    shares = [float(row["accuracy"]) for row in rows]
    assert np.mean(shares) == pytest.approx(scores["accuracy"]["value"], abs=1e-6)
    assert list(metrics) == [
        "score",
        "score_n",
        "score_max",
        "score_min",
        "score_of",
        "val_score",
    ]
    assert metrics["score_n"] == 4
    guessed = json.loads((tmp_path / "out" / "baseline.json").read_text())
    assert guessed["class"] == CLASSES[0]
    assert guessed["scores"]["accuracy"] == pytest.approx(1 / 3), "each class is as frequent"
    assert (metrics["score_min"], metrics["score_max"]) == pytest.approx((min(shares), max(shares)), abs=1e-6)


def test_ten_groups_have_intervals(tmp_path: Path) -> None:
    metrics, scores, rows = evaluated(tmp_path, num_groups=10)
    assert len(rows) == metrics["score_n"] == 10
    assert "score_min" not in metrics
    assert metrics["score_from"] == scores["accuracy"]["low"] < metrics["score"] < metrics["score_to"]
    assert scores["macro_f1"]["low"] < scores["macro_f1"]["value"] < scores["macro_f1"]["high"]
    assert math.isnan(scores["calibration_error"]["low"]), "it is biased"
