"""The comparison of a sweep: best first, only what differs, and the best child named."""

import csv
import io
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from pipeline.tracking.comparison import SCORE, log_comparison
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store

SELECTION = {"score": "accuracy", "majority": "cat", "baseline": {"accuracy": 0.25}}


def artifact(run: TrackedRun, name: str) -> Path:
    return Path(run.store.client.download_artifacts(run.run_id, name))


def add_child(
    parent: TrackedRun, *, rate: float, activation: str, score: float | None, **logged: Any
) -> TrackedRun:
    child = TrackedRun.start(parent.store, name=f"rate {rate}", parent=parent.run_id, tags={})
    child.log_config({"optimizer": {"lr": rate, "momentum": 0.9}, "model": {"activation": activation}})
    if score is not None:
        scores = {"score": score, "epoch": 3.0, "val/loss": logged.get("loss", 1 - score)}
        child.log_final(scores, {**SELECTION, **logged.get("selection", {})})
    child.end("FAILED" if score is None else "FINISHED")
    return child


@pytest.fixture
def parent(store: Store) -> TrackedRun:
    return TrackedRun.start(store, name="sweep", parent=None, tags={})


def test_comparison_of_four_children(parent: TrackedRun) -> None:
    children = {
        score: add_child(parent, rate=rate, activation=activation, score=score)
        for rate, activation, score in (
            (0.1, "tanh", 0.7),
            (0.1, "relu", 0.9),
            (0.01, "tanh", 0.6),
            (0.01, "relu", 0.8),
        )
    }
    add_child(parent, rate=0.5, activation="relu", score=None)  # failed, so it has no score
    log_comparison(parent, mode="max")
    parent.end("FINISHED")

    rows = list(csv.DictReader(io.StringIO(artifact(parent, "comparison.csv").read_text(encoding="utf-8"))))
    assert [float(row[SCORE]) for row in rows] == [0.9, 0.8, 0.7, 0.6]
    assert [row["run"] for row in rows] == [children[score].run_id for score in (0.9, 0.8, 0.7, 0.6)]
    assert list(rows[0])[:3] == ["run", "model.activation", "optimizer.lr"]
    assert (rows[0]["model.activation"], rows[0]["optimizer.lr"]) == ("relu", "0.1")
    assert "optimizer.momentum" not in rows[0]
    assert (rows[0]["selected by"], rows[0]["final/baseline"]) == ("accuracy", "0.25")
    with Image.open(artifact(parent, "comparison.png")) as image:
        assert image.size[0] > 300
    best = yaml.safe_load(artifact(parent, "best_config.yaml").read_text(encoding="utf-8"))
    assert best == {"optimizer": {"lr": 0.1, "momentum": 0.9}, "model": {"activation": "relu"}}
    data = parent.store.client.get_run(parent.run_id).data
    assert data.tags["convoy.best_run"] == children[0.9].run_id
    assert data.tags["convoy.best_name"] == "rate 0.1"
    assert data.metrics[SCORE] == 0.9


@pytest.mark.parametrize(("mode", "rates"), [("max", ["0.3", "0.1", "0.2"]), ("min", ["0.1", "0.3", "0.2"])])
def test_best_score_is_first_in_either_mode_and_one_that_is_not_a_number_last(
    mode: str, rates: list[str], parent: TrackedRun
) -> None:
    for rate, score in ((0.1, 0.5), (0.2, math.nan), (0.3, 0.7)):
        add_child(parent, rate=rate, activation="relu", score=score)
    log_comparison(parent, mode=mode)
    parent.end("FINISHED")
    rows = list(csv.DictReader(io.StringIO(artifact(parent, "comparison.csv").read_text(encoding="utf-8"))))
    assert [row["optimizer.lr"] for row in rows] == rates
    data = parent.store.client.get_run(parent.run_id).data
    assert data.tags["convoy.best_name"] == f"rate {rates[0]}"
    assert data.metrics[SCORE] == float(rows[0][SCORE])


def test_of_equal_scores_the_lower_loss_is_better(parent: TrackedRun) -> None:
    for rate, loss in ((0.1, 0.4), (0.2, 0.2), (0.3, 0.3)):
        add_child(parent, rate=rate, activation="relu", score=0.5, loss=loss)
    log_comparison(parent, mode="max")
    parent.end("FINISHED")
    rows = list(csv.DictReader(io.StringIO(artifact(parent, "comparison.csv").read_text(encoding="utf-8"))))
    assert [row["optimizer.lr"] for row in rows] == ["0.2", "0.3", "0.1"]
    assert parent.store.client.get_run(parent.run_id).data.tags["convoy.best_name"] == "rate 0.2"


def test_runs_that_are_judged_by_different_scores_are_listed_and_not_ranked(
    parent: TrackedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for rate, name in ((0.1, "accuracy"), (0.2, "balanced_accuracy")):
        add_child(parent, rate=rate, activation="relu", score=rate, selection={"score": name})
    assert log_comparison(parent, mode="max") == ""
    parent.end("FINISHED")
    names = {each.path for each in parent.store.client.list_artifacts(parent.run_id)}
    assert names == {"comparison.csv"}
    assert "convoy.best_run" not in parent.store.client.get_run(parent.run_id).data.tags
    assert (
        "judged by different scores, accuracy and balanced_accuracy, and not ranked"
        in capsys.readouterr().err
    )


def test_parent_without_finished_children_has_no_comparison(parent: TrackedRun) -> None:
    add_child(parent, rate=0.1, activation="relu", score=None)
    log_comparison(parent, mode="max")
    parent.end("FINISHED")
    assert parent.store.client.list_artifacts(parent.run_id) == []


@pytest.mark.parametrize(
    ("mode", "bounds", "span"),
    # Student's quantile of 2 degrees of freedom is 4.3027; 0.8 +- 4.3027 * 0.1 / sqrt(3), or on the scale of the logit.
    [
        ("max", None, "0.5516 to 1.0484"),
        ("min", None, "0.5516 to 1.0484"),
        ("max", (0.0, 1.0), "0.4585 to 0.9497"),
    ],
)
def test_runs_that_differ_in_their_seed_alone_have_a_mean_and_its_interval(
    mode: str, bounds: tuple[float, float] | None, span: str, parent: TrackedRun
) -> None:
    for rate, scores in ((0.1, [0.7, 0.8, 0.9]), (0.2, [0.5, 0.5, 0.5])):
        for seed, score in enumerate(scores):
            child = TrackedRun.start(
                parent.store, name=f"optimizer.lr={rate} seed={seed}", parent=parent.run_id, tags={}
            )
            child.log_config({"optimizer": {"lr": rate}, "seed": seed})
            child.log_final({"score": score}, SELECTION)
            child.end("FINISHED")
    means = log_comparison(parent, mode=mode, bounds=bounds)
    parent.end("FINISHED")
    assert artifact(parent, "over_seeds.md").read_text(encoding="utf-8") == means
    assert means.startswith("| run | seeds | mean accuracy (always guessing the majority class: 0.2500) |")
    rows = [
        f"| optimizer.lr=0.1 | 3 | 0.8000 | {span} |",
        "| optimizer.lr=0.2 | 3 | 0.5000 | 0.5000 to 0.5000 |",
    ]
    assert means.splitlines()[2:] == (rows if mode == "max" else rows[::-1])


def test_runs_that_differ_in_more_have_none(parent: TrackedRun) -> None:
    for rate in (0.1, 0.2):
        add_child(parent, rate=rate, activation="relu", score=rate)
    assert log_comparison(parent, mode="max") == ""
    parent.end("FINISHED")
    names = {each.path for each in parent.store.client.list_artifacts(parent.run_id)}
    assert "over_seeds.md" not in names
