"""The comparison of a sweep in MLflow: tables, only what differs, and the best run named."""

import csv
import io
import math
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipeline.tracking.comparison import SCORE, ComparedRun, log_comparison
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store


def artifact(run: TrackedRun, name: str) -> Path:
    return Path(run.store.client.download_artifacts(run.run_id, name))


def compared(rate: float, score: float) -> ComparedRun:
    sections = {"optimizer": {"lr": rate, "momentum": 0.9}, "model": {"activation": "relu"}}
    scores = {"score": score, "val/accuracy": score, "epoch": 3.0}
    return ComparedRun(f"lr={rate}", f"id{rate}", f"runs/{rate}", sections, scores)


@pytest.fixture
def parent(store: Store) -> TrackedRun:
    return TrackedRun.start(store, name="sweep", parent=None, tags={})


def test_comparison_of_two_runs(parent: TrackedRun) -> None:
    runs = [compared(0.1, 0.9), compared(0.01, 0.8)]
    log_comparison(
        parent,
        runs,
        best=runs[0],
        scored=[("lr=0.1", [0.9]), ("lr=0.01", [0.8])],
        score="accuracy",
        page="# sweep",
    )
    parent.end("FINISHED")
    rows = list(csv.DictReader(io.StringIO(artifact(parent, "comparison.csv").read_text(encoding="utf-8"))))
    assert list(rows[0]) == ["run", "folder", "mlflow_run", "optimizer.lr", "epoch", "score", "val/accuracy"]
    assert [list(row.values())[:4] for row in rows] == [
        ["lr=0.1", "runs/0.1", "id0.1", "0.1"],
        ["lr=0.01", "runs/0.01", "id0.01", "0.01"],
    ]
    with Image.open(artifact(parent, "comparison.png")) as image:
        assert image.size[0] > 300
    best = yaml.safe_load(artifact(parent, "best_config.yaml").read_text(encoding="utf-8"))
    assert best == {"optimizer": {"lr": 0.1, "momentum": 0.9}, "model": {"activation": "relu"}}
    assert artifact(parent, "comparison.md").read_text(encoding="utf-8") == "# sweep"
    data = parent.store.client.get_run(parent.run_id).data
    assert data.tags["convoy.best_run"] == "id0.1"
    assert data.tags["convoy.best_name"] == "lr=0.1"
    assert data.tags["mlflow.note.content"] == "# sweep"
    assert data.metrics[SCORE] == 0.9


def test_no_run_is_the_best_if_no_score_is_defined(parent: TrackedRun) -> None:
    runs = [compared(0.1, math.nan), compared(0.01, math.nan)]
    log_comparison(
        parent, runs, best=runs[0], scored=[("lr=0.1", [math.nan])], score="accuracy", page="# sweep"
    )
    parent.end("FINISHED")
    data = parent.store.client.get_run(parent.run_id).data
    assert "convoy.best_run" not in data.tags
    assert SCORE not in data.metrics


def test_sweep_all_of_whose_runs_failed_has_a_page_alone(parent: TrackedRun) -> None:
    log_comparison(parent, [], best=None, scored=[], score="accuracy", page="# sweep")
    parent.end("FINISHED")
    assert [each.path for each in parent.store.client.list_artifacts(parent.run_id)] == ["comparison.md"]


def test_description_beyond_the_room_of_mlflow_ends_with_a_whole_line_and_says_where_the_rest_is(
    parent: TrackedRun,
) -> None:
    lines = [f"| run {number} | {'x' * 90} |" for number in range(100)]
    parent.log_note("\n".join(lines))
    kept = parent.store.client.get_run(parent.run_id).data.tags["mlflow.note.content"].splitlines()
    assert kept[:70] == lines[:70]
    assert set(kept) <= {*lines, "", "The rest is in the artifact `comparison.md`."}
    assert kept[-1] == "The rest is in the artifact `comparison.md`."
