"""Test cases of localization: a row per image, the confusion matrix, and the worst boxes over their images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from pipeline.pictures.colours import COLOURS
from pipeline.pictures.confusion import draw_confusion
from pipeline.pictures.places import Marks
from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.localization.task import Localization, find_objects

COLUMNS = ("file", "actual", "predicted", "confidence", "iou", "x_min", "y_min", "x_max", "y_max")
NONE = "none"  # what an image without an object is called in the confusion matrix
MOST_CASES = 16
TRUE, PREDICTED = COLOURS[1], COLOURS[0]


def rows(task: Localization, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image; boxes in pixels of its file, and empty cells for no object."""
    assert evaluated.sides is not None
    _, overlaps = find_objects(evaluated.evidence)
    cells = zip(
        evaluated.files,
        evaluated.evidence[:, 3],
        evaluated.decoded[:, 0],
        overlaps,
        evaluated.sides,
        strict=True,
    )
    for file, label, found, iou, sides in cells:
        shown = [f"{side:.2f}" for side in task.to_file(found[:4], sides)]
        is_found, is_there = found[4] >= 0, label >= 0
        yield (
            file,
            task.classes[int(label)] if is_there else "",
            task.classes[int(found[4])] if is_found else "",
            f"{found[5]:.6f}" if is_found else "",
            f"{iou:.6f}" if is_there else "",
            *(shown if is_found else [""] * 4),
        )


def draw(task: Localization, evaluated: Evaluated, folder: Path) -> None:
    """Draw the confusion matrix, with a class for no object, and the images of lowest IoU or wrong class first."""
    (found, iou), label = find_objects(evaluated.evidence), evaluated.evidence[:, 3]
    num_classes = len(task.classes)
    names = [*task.classes, NONE]
    true, guess = (np.where(each < 0, num_classes, each).astype(int) for each in (label, found))
    counts = np.bincount(true * len(names) + guess, minlength=len(names) ** 2).reshape(len(names), -1)
    draw_confusion(counts, names, folder / "confusion.png")
    worst = np.lexsort((np.where(label < 0, 1, iou), found == label))[:MOST_CASES]
    captions = [
        f"{names[true[i]]} as {names[guess[i]]}, IoU {iou[i]:.2f}\n{PurePath(evaluated.files[i]).name}"
        for i in worst
    ]
    draw_sheet(
        np.asarray(evaluated.images[worst]),
        folder / "worst.png",
        captions=captions,
        marks=[mark_boxes(task, evaluated, int(index)) for index in worst],
    )


def mark_boxes(task: Localization, evaluated: Evaluated, index: int) -> Marks:
    """Return the predicted box of an image with class and confidence, and the true one dashed."""
    true, found = evaluated.targets[index, 0], evaluated.decoded[index, 0]
    shown = [each for each in (true, found) if each[4] >= 0]
    return Marks(
        np.array([each[:4] for each in shown]).reshape(-1, 4),
        colours=[TRUE if each is true else PREDICTED for each in shown],
        names=["" if each is true else f"{task.classes[int(each[4])]} {each[5]:.0%}" for each in shown],
        is_dashed=[each is true for each in shown],
    )
