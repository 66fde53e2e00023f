"""Localization: loss and scores by hand, boxes in the pixels of files, and data with several objects."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.data.facts import Facts
from pipeline.runs.context import RunContext
from pipeline.tasks.demands import load_demands
from pipeline.tasks.localization import cases
from pipeline.tasks.localization.task import Localization
from pipeline.tasks.predictions import Predicted, load_present
from pipeline.training.evaluation import evaluate
from pipeline.training.run import RunRequest, train
from tests.makers import data_section
from tests.refusals import refused
from tests.tasks.kinds import write_data
from tests.tasks.rows import box_shares
from tests.tasks.test_contract import declare

TARGET = "pipeline.tasks.localization.task.Localization"
DEMANDS = load_demands({"_target_": TARGET})
NAMES = ["ant", "bee", "cow"]
SHAPE = [1, 8, 16]  # rows are half as many as columns, so that exchanged axes show


def make(**settings: Any) -> Localization:
    given = {"classes": NAMES, "shape": SHAPE, "resize": "squash", "box_weight": 2.0}
    return Localization(**{**given, **settings})


def target(*rows: tuple[float, ...]) -> Tensor:
    """Return targets (N, 1, 6) of boxes and classes; an empty row is an image without an object."""
    filled = [(*row, 0.0) if row else (0.0, 0.0, 0.0, 0.0, -1.0, 0.0) for row in rows]
    return torch.tensor(filled)[:, None]


def output(presence: float, shares: tuple[float, ...], classes: tuple[float, ...]) -> Tensor:
    """Return outputs (1, 8) of a box given by centre, width and height as shares of the image."""
    return torch.cat((torch.tensor([presence]), torch.tensor(shares).logit(), torch.tensor(classes)))[None]


def test_loss_is_that_of_presence_box_and_class_by_hand() -> None:
    outputs = torch.cat(
        (
            output(1.0, (0.5, 0.5, 0.25, 0.5), (2.0, 0.0, 0.0)),
            output(-1.0, (0.1, 0.1, 0.1, 0.1), (0.0, 0.0, 5.0)),
        )
    )
    # The box of the first image: centre 0.5, 0.5, width 0.25 + 0.02 (below the bend of 0.05), height 0.5 + 0.1.
    width, height = 0.27 * 16, 0.6 * 8
    batch = {"target": target((8 - width / 2, 4 - height / 2, 8 + width / 2, 4 + height / 2, 1.0), ())}
    presence = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-1))) / 2
    box = (0.5 * 0.02**2 / 0.05 + (0.1 - 0.025)) / 4
    entropy = math.log(math.exp(2) + 2)
    assert float(make().loss(outputs, batch)) == pytest.approx(presence + 2 * box + entropy, rel=1e-5)


def test_images_without_an_object_teach_presence_alone() -> None:
    outputs = torch.randn(4, 8, generator=torch.manual_seed(0), requires_grad=True)
    make().loss(outputs, {"target": target((), (), (), ())}).backward()
    assert outputs.grad is not None
    assert (outputs.grad[:, 0] > 0).all()
    assert not outputs.grad[:, 1:].any()


def test_scores_by_hand() -> None:
    task, sure, unsure = make(), 10.0, -10.0
    whole, half, third = (0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.26, 0.5), (0.5, 0.5, 0.15, 0.5)
    bee = (0.0, 9.0, 0.0)
    outputs = [output(sure, whole, bee), output(sure, half, bee), output(sure, third, bee)]
    outputs += [output(sure, whole, (9.0, 0.0, 0.0)), output(unsure, whole, bee)]
    outputs += [output(unsure, whole, bee), output(sure, whole, bee)]
    there = (4.0, 2.0, 12.0, 6.0, 1.0)
    batch = {"target": target(there, there, there, there, there, (), ())}
    scores = task.scores(task.evidence(torch.cat(outputs), batch).numpy())
    # Right; IoU of 0.52; IoU of 0.3; wrong class; missed; rightly none; false alarm.
    assert scores["localized"] == pytest.approx(2 / 5)
    assert scores["mean_iou"] == pytest.approx((1 + 0.52 + 0.3 + 1 + 0) / 5)
    assert scores["accuracy"] == pytest.approx((3 + 1) / 7)


def test_scores_without_any_object_are_not_defined_but_for_accuracy() -> None:
    task = make()
    evidence = task.evidence(output(-3.0, (0.5,) * 4, (1.0, 0.0, 0.0)), {"target": target(())}).numpy()
    scores = task.scores(evidence)
    assert math.isnan(scores["localized"])
    assert math.isnan(scores["mean_iou"])
    assert scores["accuracy"] == 1
    (remark,) = task.remarks(evidence)
    assert remark.startswith("images without an object: 1 of 1, of which 0 were given one")


def test_remarks_are_silent_where_each_image_has_an_object() -> None:
    task = make()
    outputs = output(3.0, (0.5,) * 4, (1.0, 0.0, 0.0))
    assert task.remarks(task.evidence(outputs, {"target": target((1, 1, 5, 5, 0))}).numpy()) == []


def test_decoded_box_is_inside_of_the_image_and_absent_below_one_half() -> None:
    outputs = torch.cat(
        (output(0.1, (0.1, 0.9, 0.5, 0.5), (0.0, 0.0, 3.0)), output(-0.1, (0.5,) * 4, (1.0, 0.0, 0.0)))
    )
    first, second = make().decode(outputs)[:, 0]
    chance = math.exp(3) / (math.exp(3) + 2) / (1 + math.exp(-0.1))
    expected = [0.0, (0.9 - 0.25) * 8, (0.1 + 0.25) * 16, 8.0, 2.0, chance]
    torch.testing.assert_close(first, torch.tensor(expected))
    assert second.tolist() == [0, 0, 0, 0, -1, 0]


def test_views_of_a_mirrored_image_agree_with_those_of_the_image() -> None:
    own = output(2.0, (0.3, 0.4, 0.2, 0.5), (1.0, 2.0, 3.0))
    mirrored = output(2.0, (0.7, 0.4, 0.2, 0.5), (1.0, 2.0, 3.0))
    torch.testing.assert_close(make().merge([own, mirrored], [False, True]), own)


@pytest.mark.parametrize(
    ("rule", "sides", "expected"),
    [
        ("squash", (80, 160), [40, 20, 80, 70]),
        ("letterbox", (80, 80), [0, 20, 40, 70]),  # 4 of the 16 columns are padding on each side
        ("crop", (80, 320), [120, 20, 160, 70]),  # the middle half of the columns is shown
    ],
)
def test_boxes_are_told_in_pixels_of_the_file(
    rule: str, sides: tuple[int, int], expected: list[float]
) -> None:
    box = np.array([4.0, 2.0, 8.0, 7.0])
    np.testing.assert_allclose(make(resize=rule).to_file(box, np.array(sides)), expected)
    facts = Facts(**data_section("unused", shape=SHAPE, resize=rule, classes=NAMES))
    shown = load_present(TARGET)(Predicted(np.array([[*box, 1, 0.75]]), sides), facts)
    assert [float(shown.cells[key]) for key in ("x_min", "y_min", "x_max", "y_max")] == expected
    assert (shown.cells["class"], shown.cells["confidence"]) == ("bee", "0.750000")
    assert shown.marks is not None
    np.testing.assert_allclose(shown.marks.boxes, [expected])
    empty = load_present(TARGET)(Predicted(np.array([[0.0, 0, 0, 0, -1, 0]]), sides), facts)
    assert list(empty.cells) == list(shown.cells)
    assert set(empty.cells.values()) == {""}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(1, 1, 3, 3, 0, 0), (1, 1, 3, 3, 1, 0)], "several objects, as 2 of 3 images"),
        ([(1, 1, 3, 3, 0, 1), (0, 0, 0, 0, -1, 0)], "an object that is to be ignored, as 2 of 3 images"),
    ],
)
def test_images_of_several_or_ignored_objects_are_refused_by_file(
    rows: list[tuple[float, ...]], words: str
) -> None:
    single = [(1.0, 1.0, 3.0, 3.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0, -1.0, 0.0)]
    targets = np.array([single, rows, rows], np.float32)
    with refused("b.png", hint="choose task=detection, or leave these images out") as caught:
        DEMANDS.check_targets(targets, lambda: ["a.png", "b.png", "c.png"])
    assert words in str(caught.value)
    DEMANDS.check_targets(targets[:1], lambda: ["a.png"])


def test_training_refuses_data_with_several_objects(tmp_path: Path) -> None:
    declaration = declare("localization", tmp_path)
    write_data(tmp_path / "data.zip", "boxes", most_boxes=2)
    with refused("train/002.png", hint="choose task=detection, or leave these images out"):
        train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))


def test_validation_without_an_object_cannot_select_an_epoch() -> None:
    facts = Facts(**data_section("unused", classes=NAMES))
    with refused("data.split", got=facts.split, hint="draw the splits with another seed"):
        DEMANDS.check_present({"val": [0, 0, 0]}, facts, select=None)
    DEMANDS.check_present({"val": [0, 1, 1]}, facts, select=None)


def test_weight_of_boxes_is_above_zero() -> None:
    with refused("task.box_weight", got=0):
        make(box_weight=0)


def test_cases_tell_boxes_in_pixels_of_the_file_and_leave_cells_of_nothing_empty(tmp_path: Path) -> None:
    task = make(shape=[1, 8, 8])
    targets = target((1.0, 2.0, 5.0, 7.0, 2.0), ())
    outputs = box_shares(targets, targets[:, 0, 4].clamp(min=0))
    outputs = outputs.nan_to_num(0)
    outputs[1, 0] = -20
    evaluated = cases.Evaluated(
        task.evidence(outputs, {"target": targets}).numpy(),
        task.decode(outputs).numpy(),
        np.zeros((2, 8, 8, 1), np.uint8),
        targets.numpy(),
        ["a.png", "b.png"],
        np.array([[16, 32], [8, 8]]),
    )
    first, second = cases.rows(task, evaluated)
    assert first[:3] == ("a.png", "cow", "cow")
    assert [float(each) for each in first[4:]] == pytest.approx([1, 4, 4, 20, 14], abs=1e-3)
    assert second == ("b.png", *[""] * 8)


@pytest.mark.slow
def test_a_trained_run_tells_its_boxes(tmp_path: Path) -> None:
    declaration = declare("localization", tmp_path)
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    scores = evaluate(run, tmp_path / "out", root=tmp_path)
    assert list(scores) == ["localized", "mean_iou", "accuracy"]
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["actual"] for row in rows} == {"", "0", "1", "2"}
    assert all((row["iou"] == "") == (row["actual"] == "") for row in rows)
    assert "images without an object" in (tmp_path / "out" / "remarks.txt").read_text()
