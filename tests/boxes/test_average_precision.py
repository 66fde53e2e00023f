"""Average precision: values worked by hand, and agreement with pycocotools."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from pipeline.boxes.average_precision import LEFT_OUT, RIGHT, SIZES, WRONG, match, precisions
from pipeline.boxes.matches import Matches, encode, mean
from tests.boxes.random_boxes import MOST, NUM_CLASSES, Array, random_boxes

# Of `random_boxes(seed)`, computed by pycocotools 2.0.11: AP, AP50, AP75, AP of small, medium and large boxes, AR of 1
# and of 10 detections.
FROZEN: dict[int, list[float]] = {
    0: [
        0.2915616732,
        0.5133876084,
        0.3084350334,
        0.0238844441,
        0.3566611617,
        0.6474068419,
        0.3167090356,
        0.5147282859,
    ],
    1: [
        0.3113765828,
        0.5290991846,
        0.3526230689,
        0.1131290563,
        0.3583686844,
        0.5165309209,
        0.3237794349,
        0.5499219431,
    ],
    2: [
        0.3465528134,
        0.5746012099,
        0.3861498786,
        0.1073863018,
        0.3789405290,
        0.6082389297,
        0.2908963585,
        0.5366666667,
    ],
    3: [
        0.2778627757,
        0.5195450191,
        0.2574907719,
        0.1173678451,
        0.3285456123,
        0.5979904657,
        0.2798118548,
        0.5005466755,
    ],
}


def summarise(detections: Array, objects: Array) -> list[float]:
    matches = Matches(encode(detections, objects), detections.shape[1], NUM_CLASSES)
    found = matches.precisions()
    sizes = [mean(matches.precisions(size)) for size in ("small", "medium", "large")]
    return [
        mean(found),
        mean(found[:, 0]),
        mean(found[:, 5]),
        *sizes,
        mean(matches.recalls(1)),
        mean(matches.recalls(10)),
    ]


@pytest.mark.parametrize("seed", [*FROZEN])
def test_scores_are_those_that_pycocotools_gave(seed: int) -> None:
    np.testing.assert_allclose(summarise(*random_boxes(seed)), FROZEN[seed], atol=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_those_of_pycocotools_where_it_is_installed(seed: int) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    detections, objects = random_boxes(seed)
    np.testing.assert_allclose(summarise(detections, objects), oracle(detections, objects), atol=1e-12)


def oracle(detections: Array, objects: Array) -> list[float]:
    """Return what pycocotools gives for the same boxes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    data: dict[str, list[Any]] = {
        "images": [{"id": image + 1} for image in range(len(objects))],
        "categories": [{"id": index + 1} for index in range(NUM_CLASSES)],
        "annotations": [],
    }
    guessed = []
    for image, (rows, true) in enumerate(zip(detections, objects, strict=True)):
        for place, (x, y, right, bottom, label, is_crowd) in enumerate(true[true[:, 4] >= 0]):
            box = [x, y, right - x, bottom - y]
            number = image * 1000 + place + 1
            about = {"id": number, "image_id": image + 1, "category_id": int(label) + 1, "bbox": box}
            data["annotations"].append({**about, "area": box[2] * box[3], "iscrowd": int(is_crowd)})
        for x, y, right, bottom, label, confidence in rows[rows[:, 4] >= 0]:
            box = [x, y, right - x, bottom - y]
            guessed.append(
                {"image_id": image + 1, "category_id": int(label) + 1, "bbox": box, "score": confidence}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = data
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(guessed), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found = evaluation.stats
    return [*found[:3], *found[3:6], found[6], found[7]]


def box(*values: float) -> list[float]:
    return list(values)


def test_detections_are_matched_by_falling_confidence_and_an_object_only_once() -> None:
    objects = np.array([[box(0, 0, 10, 10, 0, 0), box(-1, -1, -1, -1, -1, -1)]], float)
    detections = np.array([[box(0, 0, 10, 9, 0, 0.9), box(0, 0, 10, 10, 0, 0.8), box(0, 0, 10, 10, 1, 0.7)]])
    outcomes, counted = match(detections, objects)
    assert outcomes[0, :, 0, 0].tolist() == [RIGHT, WRONG, WRONG], "the second box comes too late"
    assert outcomes[0, :, 0, 9].tolist() == [WRONG, RIGHT, WRONG], "an IoU of 0.9 does not reach 0.95"
    assert counted[0].tolist() == [[True, True, False, False], [False] * 4]


def test_ignored_objects_take_any_number_of_detections_that_lie_inside_and_count_for_nothing() -> None:
    objects = np.array([[box(0, 0, 100, 100, 0, 1)]], float)
    detections = np.array(
        [[box(0, 0, 10, 10, 0, 0.9), box(50, 50, 60, 60, 0, 0.8), box(95, 0, 115, 10, 0, 0.7)]]
    )
    outcomes, counted = match(detections, objects)
    assert outcomes[0, :, 0, 0].tolist() == [LEFT_OUT, LEFT_OUT, WRONG], "a quarter of the third is inside"
    assert not counted.any()


def test_precision_is_the_highest_one_at_that_recall_or_a_larger_one() -> None:
    outcomes = np.array([[RIGHT], [WRONG], [WRONG], [RIGHT], [LEFT_OUT], [RIGHT]], np.int8)
    found = precisions(np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), outcomes, 4)[0]
    assert found[:26].tolist() == [1.0] * 26
    assert found[26:76].tolist() == [3 / 5] * 50
    assert found[76:].tolist() == [0.0] * 25


def test_images_without_objects_count_by_their_false_alarms() -> None:
    objects = np.full((2, 1, 6), -1.0)
    objects[0, 0] = [0, 0, 10, 10, 0, 0]
    detections = np.full((2, 1, 6), -1.0)
    detections[:, 0] = [[0, 0, 10, 10, 0, 0.5], [0, 0, 10, 10, 0, 0.9]]
    assert mean(Matches(encode(detections, objects), 1, 1).precisions()) == pytest.approx(0.5)
    assert np.isnan(mean(Matches(encode(detections[1:], objects[1:]), 1, 1).precisions()))


def test_rows_of_matches_keep_every_outcome() -> None:
    detections, objects = random_boxes(3)
    outcomes, counted = match(detections, objects)
    rows = encode(detections, objects)
    assert rows.dtype == np.float64
    assert np.isfinite(rows).all()
    matches = Matches(rows, MOST, NUM_CLASSES)
    for index in range(NUM_CLASSES):
        has = objects[..., 4] == index
        assert matches.counts[index].tolist() == [counted[has][:, size].sum() for size in range(len(SIZES))]
        right = (outcomes[detections[..., 4] == index][:, 0] == RIGHT).sum(axis=0)
        counts = counted[has][:, 0].sum()
        np.testing.assert_allclose(matches.recalls(MOST)[index], right / counts)
