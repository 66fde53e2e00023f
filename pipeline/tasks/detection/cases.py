"""Test cases of detection: a row for each detection and each miss, precision and recall, and pictures of images.

For a person, detections of at least `min_confidence` are paired with objects at an IoU of 0.5: by falling confidence,
first with objects of their class, then with those of others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes.average_precision import overlaps
from pipeline.boxes.matches import mean
from pipeline.pictures.detections import draw_detections, draw_precision_recall
from pipeline.pictures.places import Marks
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.detection.task import Detection

COLUMNS = ("file", "outcome", "actual", "predicted", "confidence", "iou", "x_min", "y_min", "x_max", "y_max")
FOUND, CONFUSED, ALARM, MISSED, IGNORED = "found", "wrong class", "false alarm", "missed", "ignored"
NOTHING = "no object"
MISTAKES = (CONFUSED, ALARM, MISSED)
COLOURS = {FOUND: "#117733", CONFUSED: "#DDCC77", ALARM: "#CC6677", MISSED: "#88CCEE", IGNORED: "#999999"}
LEAST_IOU = 0.5
MOST_IMAGES = 8

Array = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a detection, or of an object that none was paired with.

    Args:
        kind: a key of `COLOURS`.
        box: (4,) of the detection, or of the object if it was missed.
        actual: class of the object; None if there is none.
        predicted: class of the detection; None if there is none.
        confidence: of the detection.
        iou: of both.
    """

    kind: str
    box: Array
    actual: int | None = None
    predicted: int | None = None
    confidence: float = 0.0
    iou: float = 0.0


def rows(task: Detection, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield rows of `COLUMNS`, boxes in pixels of the file: of detections and misses, or one where there is neither."""
    for index, file in enumerate(evaluated.files):
        outcomes = pair(evaluated.decoded[index], evaluated.targets[index])
        for each in outcomes:
            sides = None if evaluated.sides is None else tuple(map(int, evaluated.sides[index]))
            names = ("" if label is None else task.classes[label] for label in (each.actual, each.predicted))
            numbers = (each.confidence, each.iou) if each.predicted is not None else ()
            texts = [f"{number:.6f}" for number in numbers] or ["", ""]
            yield (
                file,
                each.kind,
                *names,
                *texts,
                *(f"{side:.2f}" for side in _restore(task, each.box, sides)),
            )
        if not outcomes:
            yield file, NOTHING, *[""] * (len(COLUMNS) - 2)


def draw(task: Detection, evaluated: Evaluated, folder: Path) -> None:
    """Draw precision against recall, the images with most mistakes, and some as they come."""
    found = task.matches(evaluated.evidence).precisions()
    with_objects = ~np.isnan(found).all(axis=(1, 2))
    if with_objects.any():
        curves = {
            f"{name} ({mean(each):.2f})": each[0]
            for name, each in zip(task.classes, found, strict=True)
            if not np.isnan(each).all()
        }
        average = found[with_objects, 0].mean(axis=0)
        title = f"IoU 0.5; AP over all IoUs {mean(found):.3f}"
        draw_precision_recall(curves, average, folder / "precision_recall.png", title=title)
    outcomes = [pair(*each) for each in zip(evaluated.decoded, evaluated.targets, strict=True)]
    mistakes = np.array([sum(each.kind in MISTAKES for each in image) for image in outcomes])
    worst = [int(index) for index in np.argsort(-mistakes, kind="stable") if mistakes[index]][:MOST_IMAGES]
    some = np.unique(np.linspace(0, len(outcomes) - 1, MOST_IMAGES).astype(int)).tolist()
    for name, chosen in {"mistakes": worst, "detections": some}.items():
        if chosen:
            draw_detections(
                [np.asarray(evaluated.images[index]) for index in chosen],
                [_marks(task, outcomes[index]) for index in chosen],
                [f"{PurePath(evaluated.files[i]).name}: {_count(outcomes[i])}" for i in chosen],
                folder / f"{name}.png",
            )


def pair(detections: Array, targets: Array) -> list[Outcome]:
    """Return what became of the detections (D, 6) of an image, and the objects (B, 6) that were missed."""
    found, objects = detections[detections[:, 4] >= 0], targets[targets[:, 4] >= 0]
    ious = overlaps(found[None].astype(float), objects[None].astype(float))[0]
    is_ignored, is_same = objects[:, 5] > 0, found[:, 4:5] == objects[:, 4]
    partner, free = np.full(len(found), -1), ~is_ignored
    for allowed in (is_same, np.ones_like(is_same)):
        for index in np.flatnonzero(partner < 0):
            close = np.where(allowed[index] & free, ious[index], 0)
            if close.max(initial=0) >= LEAST_IOU:
                partner[index] = int(close.argmax())
                free[partner[index]] = False
    outcomes = []
    for row, place, own_ious, same in zip(found, partner.tolist(), ious, is_same, strict=True):
        given: dict[str, Any] = {"box": row[:4], "predicted": int(row[4]), "confidence": float(row[5])}
        if place >= 0:
            actual = int(objects[place, 4])
            kind = FOUND if actual == given["predicted"] else CONFUSED
            outcomes.append(Outcome(kind, actual=actual, iou=float(own_ious[place]), **given))
        else:
            inside = (own_ious * (is_ignored & same)).max(initial=0) >= LEAST_IOU
            outcomes.append(Outcome(IGNORED if inside else ALARM, **given))
    missed = [Outcome(MISSED, row[:4], actual=int(row[4])) for row in objects[free]]
    return [*outcomes, *missed]


def _restore(task: Detection, box: Array, sides: tuple[int, ...] | None) -> Sequence[float]:
    """Return a box in pixels of an image file of some rows and columns; None if they are those of prepared images."""
    if sides is None:
        return [float(side) for side in box]
    (own,) = task.resizing.place((sides[0], sides[1])).boxes(box[None])
    return [float(side) for side in own]


def _marks(task: Detection, outcomes: Sequence[Outcome]) -> Marks:
    names = []
    for each in outcomes:
        label = each.actual if each.predicted is None else each.predicted
        name = "" if label is None else task.classes[label]
        actual = (
            f", not {task.classes[each.actual]}" if each.kind == CONFUSED and each.actual is not None else ""
        )
        names.append(name + (f" {each.confidence:.0%}{actual}" if each.predicted is not None else " missed"))
    return Marks(
        np.array([each.box for each in outcomes]).reshape(-1, 4),
        colours=[COLOURS[each.kind] for each in outcomes],
        names=names,
        is_dashed=[each.kind == MISSED for each in outcomes],
    )


def _count(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(each.kind for each in outcomes)
    return ", ".join(f"{counts[kind]} {kind}" for kind in COLOURS if counts[kind]) or NOTHING
