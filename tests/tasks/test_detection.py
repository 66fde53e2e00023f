"""Detection: the grid worked by hand, what is lost and what is ignored, rows for a user, and refused settings."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.boxes.anchors import count_lost
from pipeline.data.facts import Facts
from pipeline.declaration.composition import compose, compose_sections
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.demands import load_demands
from pipeline.tasks.detection import cases
from pipeline.tasks.detection.predictions import present
from pipeline.tasks.detection.task import Detection
from pipeline.tasks.predictions import Predicted
from pipeline.training.assemble import build_task
from tests.makers import data_section
from tests.refusals import refused

ANCHORS = [[8.0, 8.0], [16.0, 32.0]]
NONE = [0.0, 0.0, 0.0, 0.0, -1.0, 0.0]


def detection(**changes: Any) -> Detection:
    """Return a task of two classes on a grid of 2 x 3 cells of 16 pixels."""
    settings = compose_sections(["task=detection"])["task"]
    given = {key: value for key, value in settings.items() if key != "_target_"}
    facts = {"classes": ["cat", "dog"], "shape": [1, 32, 48], "resize": "squash", "padding_value": 0}
    return Detection(**{**given, **facts, "stride": 16, "anchors": ANCHORS, "max_detections": 4, **changes})


def outputs_of(*guesses: tuple[int, int, int, list[float]]) -> Tensor:
    """Return outputs (1, 2 x 7, 2, 3) that say no but for some (anchor, row, column, numbers)."""
    parts = torch.zeros(1, 2, 7, 2, 3)
    parts[:, :, 4] = -20
    for anchor, row, column, numbers in guesses:
        parts[0, anchor, :, row, column] = torch.tensor(numbers)
    return parts.reshape(1, 14, 2, 3)


def targets_of(*rows: list[float]) -> Tensor:
    return torch.tensor([rows])


def test_box_is_the_anchor_scaled_around_a_point_of_its_cell() -> None:
    found = detection().decode(outputs_of((1, 1, 2, [0.0, log(3), log(0.5), log(0.25), 20, 0, 20])))[0]
    centre, sides = (2.5 * 16, 1.75 * 16), (8, 8)
    expected = [
        centre[0] - sides[0] / 2,
        centre[1] - sides[1] / 2,
        centre[0] + sides[0] / 2,
        centre[1] + sides[1] / 2,
    ]
    assert found[0].tolist() == pytest.approx([*expected, 1, 1])
    assert found[1:].tolist() == [NONE] * 3


def test_boxes_end_at_the_image_and_confidence_is_that_of_an_object_times_that_of_its_class() -> None:
    found = detection(min_confidence=0.0).decode(
        outputs_of((1, 0, 0, [0.0, 0.0, 2.0, 2.0, 0.0, 0.0, log(3)]))
    )
    assert found[0, 0].tolist() == pytest.approx([0, 0, 48, 32, 1, 0.5 * 0.75])


def test_only_the_more_confident_of_two_boxes_of_a_class_is_kept() -> None:
    near = [0.0, 0.0, 0.0, 0.0]
    guesses = [(0, 0, 0, [*near, 1.0, 20, 0]), (1, 0, 0, [*near[:2], log(0.5), log(0.25), 2.0, 20, 0])]
    found = detection().decode(outputs_of(*guesses))[0]
    assert (found[:, 4] >= 0).sum() == 1
    assert float(found[0, 5]) == pytest.approx(1 / (1 + exp(-2)))
    other = (guesses[1][0], 0, 0, [*guesses[1][3][:5], 0, 20])
    found = detection().decode(outputs_of(guesses[0], other))[0]
    assert found[:2, 4].tolist() == [1, 0], "boxes of two classes do not suppress each other"


def test_objects_that_share_cell_and_anchor_are_lost_but_the_first() -> None:
    task = detection()
    rows = [[2, 2, 10, 10, 0, 0], [4, 4, 12, 12, 1, 0], [20, 2, 28, 10, 1, 0], [0, 0, 16, 32, 1, 0], NONE]
    targets = targets_of(*rows)
    assigned = task.grid.assign(targets, outputs_of().shape, similar=0.5)
    assert [place.tolist() for place in assigned.places] == [[0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]
    assert assigned.objects[:, 4].tolist() == [0, 1, 1]
    assert count_lost(targets.numpy(), np.array(ANCHORS), 16) == 1


def test_anchor_that_fits_without_being_the_best_need_not_say_no() -> None:
    task = detection(anchors=[[8.0, 8.0], [8.0, 10.0], [30.0, 30.0]], no_object_weight=1.0)
    parts = torch.zeros(1, 3, 7, 2, 3)
    objects = targets_of([2, 2, 10, 10, 0, 0])
    before = task.loss(parts.reshape(1, 21, 2, 3), {"target": objects})
    gains = []
    for anchor in (1, 2):
        changed = parts.clone()
        changed[0, anchor, 4, 0, 0] = 10
        gains.append(float(task.loss(changed.reshape(1, 21, 2, 3), {"target": objects}) - before))
    assert gains[0] == pytest.approx(0)
    assert gains[1] == pytest.approx(10 - log(2), abs=1e-3)


def test_what_is_ignored_takes_no_part_in_loss_and_scores() -> None:
    task = detection()
    guess = outputs_of((0, 0, 0, [0.0, 0.0, 0.0, 0.0, 5.0, 20, 0]))
    ignored, nothing = targets_of([0, 0, 16, 16, 0, 1]), targets_of(NONE)
    assert float(task.loss(guess, {"target": nothing})) > 2
    assert float(task.loss(guess, {"target": ignored})) == pytest.approx(0, abs=1e-3)
    objects = torch.cat((ignored, targets_of([4, 4, 12, 12, 0, 0])))
    evidence = task.evidence(guess.repeat(2, 1, 1, 1), {"target": objects}).numpy()
    assert task.scores(evidence)["ap50"] == 1
    empty = torch.cat((nothing, targets_of([4, 4, 12, 12, 0, 0])))
    evidence = task.evidence(guess.repeat(2, 1, 1, 1), {"target": empty}).numpy()
    assert task.scores(evidence)["ap50"] == pytest.approx(0.5), "the first of two equally sure ones is wrong"
    assert "images without an object, which count by their false alarms: 1 of 2" in task.remarks(evidence)
    assert "classes without an object, left out of AP and recall: dog" in task.remarks(evidence)


def test_views_of_a_mirrored_image_are_mirrored_back() -> None:
    task, random = detection(min_confidence=0.0), torch.Generator().manual_seed(0)
    outputs = torch.randn(1, 14, 2, 3, generator=random)
    mirrored = task.merge([outputs, outputs], [True, True])
    boxes, own = task.grid.decode(mirrored).boxes, task.grid.decode(outputs).boxes.flip(3)
    torch.testing.assert_close(boxes[..., [0, 2]], 48 - own[..., [2, 0]])
    torch.testing.assert_close(boxes[..., [1, 3]], own[..., [1, 3]])


def test_predictions_are_rows_in_pixels_of_the_file() -> None:
    facts = Facts(**data_section("nowhere", shape=[1, 32, 48], resize="letterbox"))
    rows = np.array([[0, 0, 24, 16, 1, 0.75], [12, 8, 36, 24, 0, 0.5], NONE])
    shown = present(
        Predicted(rows, (64, 48)), facts
    )  # shown on the 24 columns in the middle, at half its size
    first, second = shown.cells, shown.following[0]
    sides = ("x_min", "y_min", "x_max", "y_max")
    assert (first["class"], first["confidence"]) == ("dog", "0.750000")
    assert [first[side] for side in sides] == ["0.00", "0.00", "24.00", "32.00"]
    assert [second[side] for side in sides] == ["0.00", "16.00", "48.00", "48.00"]
    assert len(shown.following) == 1
    assert shown.marks is not None
    assert shown.marks.names == ["dog 75%", "cat 50%"]
    empty = present(Predicted(rows[2:], (64, 48)), facts)
    assert set(empty.cells.values()) == {""}
    assert empty.cells.keys() == first.keys()


def test_cases_tell_what_was_found_confused_missed_and_seen_in_vain() -> None:
    decoded = np.array([[0, 0, 10, 10, 0, 0.9], [20, 0, 30, 10, 1, 0.8], [0, 20, 9, 30, 0, 0.7], NONE])
    objects = np.array([[0, 0, 10, 9, 0, 0], [20, 0, 30, 10, 0, 0], [40, 0, 48, 8, 1, 0], NONE])
    evaluated = Evaluated(
        np.zeros((2, 1)),
        np.stack((decoded, np.tile(NONE, (4, 1)))),
        np.zeros((2, 32, 48, 1), np.uint8),
        np.stack((objects, np.tile(NONE, (4, 1)))),
        ["a.png", "b.png"],
        np.array([[64, 96], [32, 48]]),
    )
    rows = list(cases.rows(detection(), evaluated))
    assert [row[:4] for row in rows] == [
        ("a.png", "found", "cat", "cat"),
        ("a.png", "wrong class", "cat", "dog"),
        ("a.png", "false alarm", "", "cat"),
        ("a.png", "missed", "dog", ""),
        ("b.png", "no object", "", ""),
    ]
    assert rows[0][4:] == ("0.900000", "0.900000", "0.00", "0.00", "20.00", "20.00"), "in pixels of the file"


def test_predictions_agree_though_boxes_change_places_but_not_if_one_moves() -> None:
    task = detection()
    rows = np.array(
        [[[0, 0, 0.3, 0.3, 0, 0.6], [0.7, 0, 1, 0.3, 0, 0.6 - 1e-6], [0, 0.7, 0.3, 1, 1, 0.25 + 1e-6], NONE]]
    )
    swapped = rows[:, [1, 0, 3, 3]]
    assert task.difference(rows, rows) == 0
    assert task.difference(swapped, rows) == pytest.approx(1e-6, rel=0.1)
    moved = rows + np.array([0.1, 0, 0.1, 0, 0, 0])
    assert task.difference(moved, rows) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("task.anchors=0", "task.anchors"),
        ("task.anchors=[]", "task.anchors"),
        ("task.anchors=[[8,-8]]", "task.anchors"),
        ("task.anchors=[[8,8,8]]", "task.anchors"),
        ("task.stride=5", "task.stride"),
        ("task.stride=0", "task.stride"),
        ("task.nms_iou=1.5", "task.nms_iou"),
        ("task.max_detections=0", "task.max_detections"),
        ("task.box_weight=0", "task.box_weight"),
        ("task.stride=64", "model"),
    ],
)
def test_settings_out_of_range_and_grids_of_other_strides_are_refused(override: str, path: str) -> None:
    with refused(path):
        compose(["task=detection", "data=digits_scenes", "model=yolo_small", override])


class Training:
    """A training split of known targets."""

    def __init__(self, targets: Tensor) -> None:
        self._targets = targets.numpy()

    def count(self) -> list[int]:
        raise AssertionError

    def targets(self) -> np.ndarray[Any, Any]:
        return self._targets


def test_anchors_are_found_on_the_training_split_and_said_and_drawn_with_what_is_lost(tmp_path: Path) -> None:
    declaration = compose(["task=detection", "data=digits_scenes", "model=yolo_small", "task.anchors=2"])
    demands = load_demands(declaration.task)
    rows = [[2, 2, 10, 10, 0, 0], [3, 3, 11, 11, 1, 0], [0, 0, 16, 32, 1, 0], [0, 0, 99, 99, 1, 1]]
    training = Training(targets_of(*rows))
    settings = demands.resolve(declaration.task, declaration.data, training)
    assert settings["anchors"] == [[8, 8], [16, 32]]
    assert build_task(declaration, settings).grid.anchors.tolist() == [[8, 8], [16, 32]]  # type: ignore[attr-defined]
    assert demands.explain(settings, declaration.data, training) == [
        "anchors in pixels: 8 x 8, 16 x 32; mean best IoU 1.000",
        "training objects that share cell and anchor with another one, and are lost: 1 of 3",
        "training objects that no anchor takes with an IoU of 0.5: 0",
    ]
    (path,) = demands.draw(settings, training, tmp_path)
    assert path.name == "anchors.png"
    assert path.is_file()
    empty = Training(targets_of([0, 0, 99, 99, 1, 1]))
    assert demands.draw(settings, empty, tmp_path) == [], "what is ignored is no object"
    assert (
        len(demands.resolve({**declaration.task, "anchors": 5}, declaration.data, training)["anchors"]) == 5
    )
