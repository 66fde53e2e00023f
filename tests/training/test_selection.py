"""Which score selects the epoch and ranks trainings, and what the majority class would score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from pipeline.data.prepared import Prepared
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.demands import load_demands
from pipeline.training.assemble import build_task
from pipeline.training.selection import Selection, baseline, find_selection
from pipeline.trials.early_stopping import check_metric, name_objective
from tests.refusals import refused
from tests.tasks.rows import COMPOSED, ROWS
from tests.training.fitting import QUIET, Tracked, trained

SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "calibration_error")


def prepared_with(folder: Path, *, train: list[int], val: list[int]) -> Prepared:
    """Return prepared data with so many images of each class."""
    for split, counts in (("train", train), ("val", val)):
        np.save(folder / f"{split}_targets.npy", np.repeat(np.arange(len(counts), dtype=np.uint8), counts))
    return Prepared(folder, load_kind("label"))


def declared(classes: int, *overrides: str) -> Declaration:
    names = ",".join(f"c{index}" for index in range(classes))
    return compose(["model=linear", f"data.classes=[{names}]", *overrides])


@pytest.mark.parametrize(
    ("train", "val", "score"),
    [
        ([10, 10, 10], [2, 2, 2], "accuracy"),
        ([12, 10, 8], [3, 3, 2], "accuracy"),  # 15 of the largest, 10 of the smallest: not more than 1.5
        ([12, 10, 8], [4, 3, 2], "balanced_accuracy"),
        ([100, 5], [10, 10], "balanced_accuracy"),
        ([10, 20], [12, 2], "accuracy"),  # both splits count together, as folds cut them anew
        ([10, 10, 0], [2, 2, 0], "accuracy"),  # a class without images tells nothing
    ],
)
def test_classes_are_unequal_if_the_largest_is_half_as_large_again_as_the_smallest(
    train: list[int], val: list[int], score: str, tmp_path: Path
) -> None:
    found = find_selection(declared(len(train)), prepared_with(tmp_path, train=train, val=val))
    assert (found.score, found.mode, found.majority) == (score, "max", int(np.argmax(train)))
    assert bool(found.reason) == (score != "accuracy")


def test_declared_score_is_taken_in_its_own_mode_whatever_the_classes(tmp_path: Path) -> None:
    prepared = prepared_with(tmp_path, train=[90, 1], val=[9, 1])
    for score in SCORES:
        found = find_selection(declared(2, f"trainer.select={score}"), prepared)
        mode = "min" if score == "calibration_error" else "max"
        assert found == Selection(score, mode, 0), score


def test_masks_are_judged_by_dice_and_have_no_majority(tmp_path: Path) -> None:
    np.save(tmp_path / "train_targets.npy", np.zeros((2, 4, 4), np.uint8))
    prepared = Prepared(tmp_path, load_kind("mask"))
    assert find_selection(compose(["experiment=brain_unet"]), prepared) == Selection("dice", "max", None)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_score_may_select_has_a_mode_and_the_usual_ones_share_theirs(name: str) -> None:
    declaration = compose(COMPOSED[name])
    demands = load_demands(declaration.task)
    for score in demands.scores(declaration.data):
        chosen = compose([*COMPOSED[name], f"trainer.select={score}"])
        assert chosen.trainer.select == score
        assert demands.mode_of(score) in ("max", "min")
    assert demands.mode_of(demands.score) == demands.mode
    for counts in ([5, 5, 5], [99, 1, 1]):
        assert demands.mode_of(demands.default_score(counts)) == demands.mode


def test_unknown_score_is_refused_with_the_names() -> None:
    text = (
        "trainer.select: unknown score 'balanced'; did you mean 'balanced_accuracy'? allowed: "
        f"{', '.join(sorted(SCORES))}"
    )
    with refused("trainer.select", got="balanced", allowed=SCORES, text=text):
        compose(["trainer.select=balanced"])
    with refused("trainer.select", got="accuracy"):
        compose(["experiment=brain_unet", "trainer.select=accuracy"])


def test_baseline_is_what_scikit_learns_dummy_scores(tmp_path: Path) -> None:
    prepared = prepared_with(tmp_path, train=[20, 50, 5], val=[7, 9, 4])
    declaration = declared(3)
    train, val = prepared.targets("train"), prepared.targets("val")
    guesses = DummyClassifier(strategy="most_frequent").fit(train[:, None], train).predict(val[:, None])
    majority = find_selection(declaration, prepared).majority
    assert majority == 1
    found = baseline(build_task(declaration), val, majority)
    assert found["accuracy"] == pytest.approx(accuracy_score(val, guesses))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(val, guesses)) == 1 / 3
    assert found["macro_f1"] == pytest.approx(f1_score(val, guesses, average="macro"))
    assert found["auroc"] == 0.5


def test_task_without_a_guess_has_no_baseline() -> None:
    task = build_task(compose(["experiment=brain_unet"]))
    assert baseline(task, np.zeros((2, 4, 4), np.uint8), 0) == {}


def test_epoch_is_kept_by_the_declared_score_and_the_result_says_so(tmp_path: Path) -> None:
    folder, tracked = RunFolder(tmp_path / "run"), Tracked()
    assert trained(folder, QUIET, "trainer.select=calibration_error", "trainer.keep=best", tracked=tracked)
    errors = [row["val/calibration_error"] for row in folder.history()]
    assert folder.metrics()["score"] == min(errors)
    assert folder.metrics()["epoch"] == errors.index(min(errors))
    selection = json.loads((folder.path / "result.json").read_text())["selection"]
    assert (selection["score"], selection["majority"]) == ("calibration_error", "0")
    assert selection["baseline"]["accuracy"] == 1 / 8
    assert tracked.selection == selection


def test_observer_sees_the_selecting_score_in_every_epoch_also_of_a_resumed_run(tmp_path: Path) -> None:
    seen: list[list[float]] = []

    def stop(history: Any) -> bool:
        seen.append([row["score"] for row in history])
        assert seen[-1] == [row["val/macro_f1"] for row in history]
        return len(history) == 2 and len(seen) == 2

    folder = RunFolder(tmp_path / "run")
    observer = TrainingObserver(log_artifacts=False, should_stop=stop)
    assert not trained(folder, observer, "trainer.select=macro_f1")
    assert trained(folder, observer, "trainer.select=macro_f1", tracked=Tracked())
    assert [len(each) for each in seen] == [1, 2, 1, 2, 3, 4]


def test_unequal_classes_are_said_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder(tmp_path / "run")
    three = "data.classes=['0','1','2']"
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 2], np.uint8)
    assert trained(
        folder, TrainingObserver(), three, "trainer.max_epochs=1", "tracking.log_model=false",
        tracked=Tracked(), labels=labels,
    )  # fmt: skip
    assert (
        "trainer.select: balanced_accuracy, as the largest class has 10 images of train and val, the smallest 2; set "
        "trainer.select to choose another score"
    ) in capsys.readouterr().err
    assert folder.metrics()["score"] == folder.metrics()["val/balanced_accuracy"]


# Searches.


@pytest.mark.parametrize(
    ("metric", "select", "name"),
    [
        (None, None, "score"),
        ("score", None, "score"),
        (None, "auroc", "val/auroc"),
        ("score", "auroc", "val/auroc"),
        ("val/loss", "auroc", "val/loss"),
    ],
)
def test_trials_are_compared_by_the_metric_or_else_by_the_selecting_score(
    metric: str | None, select: str | None, name: str
) -> None:
    assert name_objective(metric, select) == name


def test_direction_of_a_search_is_that_of_the_selecting_score() -> None:
    declaration = compose(["search=coarse", "trainer.select=calibration_error"])
    text = (
        "search.direction: val/calibration_error is better when lower, got 'maximize'; set "
        "search.direction=minimize"
    )
    with refused("search.direction", got="maximize", text=text):
        check_metric(declaration)
    check_metric(declaration.replace(search={**declaration.sections["search"], "direction": "minimize"}))


def test_space_that_draws_the_selecting_score_is_refused_without_a_metric() -> None:
    space = {"trainer.select": "choice(accuracy, auroc)"}
    declaration = compose(["search=coarse"])
    drawing = {**declaration.sections["search"], "space": space}
    with refused("search.metric", got=None, hint="such as val/loss"):
        check_metric(declaration.replace(search=drawing))
    check_metric(declaration.replace(search={**drawing, "metric": "val/auroc"}))


@pytest.mark.parametrize("key", ["data", "data.split", "data.split.seed", "data.groups"])
def test_space_that_draws_the_images_of_classes_is_refused_unless_the_score_is_declared(key: str) -> None:
    """Of some of its trials, accuracy would select the epoch, of others balanced accuracy."""
    declaration = compose(["search=coarse"])
    drawing = {**declaration.sections["search"], "space": {key: "choice(1, 2)"}}
    text = (
        "search.metric: trainings that are judged by different scores cannot be compared, and the space draws "
        f"{key}, got None; set trainer.select, or set search.metric to one score, such as val/loss"
    )
    with refused("search.metric", got=None, text=text):
        check_metric(declaration.replace(search=drawing))
    check_metric(declaration.replace(search={**drawing, "metric": "val/auroc"}))
    check_metric(compose(["search=coarse", "trainer.select=auroc"]).replace(search=drawing))
    harmless = {**drawing, "space": {"data.shape": "choice([1,16,16], [1,32,32])"}}
    check_metric(declaration.replace(search=harmless))
