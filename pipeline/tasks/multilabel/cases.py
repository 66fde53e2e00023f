"""Test cases of several labels per image: a row per image, counts for each class, and the images with most mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.pictures.heat import overlay_heat
from pipeline.pictures.labels import draw_labels
from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.multilabel.task import (
    Multilabel,
    count_labels,
    join_names,
    predict_labels,
    split_evidence,
)

COLUMNS = ("file", "actual", "predicted", "wrong")
MOST_MISTAKES = 16


def rows(task: Multilabel, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image; `wrong` is the number of labels that are missed or not true."""
    labels, guesses = split_evidence(evaluated.evidence)[1], predict_labels(evaluated.evidence)
    for file, true, guess in zip(evaluated.files, labels, guesses, strict=True):
        names = (join_names(task.classes, present, task.separator) for present in (true, guess))
        yield file, *names, str((true != guess).sum())


def draw(task: Multilabel, evaluated: Evaluated, folder: Path) -> None:
    """Draw what was found and missed of each class, and the images with most mistakes if there are any."""
    labels = split_evidence(evaluated.evidence)[1]
    wrong = predict_labels(evaluated.evidence) != labels
    hits, guesses, truth = count_labels(evaluated.evidence)
    draw_labels(task.classes, hits, truth - hits, guesses - hits, folder / "labels.png")
    surprise = np.abs(evaluated.decoded - labels).sum(axis=1)
    order = np.lexsort((-surprise, -wrong.sum(axis=1)))
    worst = [int(index) for index in order if wrong[index].any()][:MOST_MISTAKES]
    if worst:
        captions = [_caption(task, labels[index], wrong[index]) for index in worst]
        images = np.asarray(evaluated.images[worst])
        draw_sheet(images, folder / "wrong_labels.png", captions=captions)
        if evaluated.explain is not None:
            farthest = np.where(wrong, np.abs(evaluated.decoded - labels), -1).argmax(axis=1)[worst]
            maps = evaluated.explain(worst, farthest.tolist())
            cells = [overlay_heat(image, heat) for image, heat in zip(images, maps, strict=True)]
            speaking = [f"for {task.classes[index]}" for index in farthest]
            draw_sheet(cells, folder / "wrong_labels_maps.png", captions=speaking)


def _caption(task: Multilabel, labels: np.ndarray, wrong: np.ndarray) -> str:
    """Return which labels were missed (-), and which are not true (+)."""
    return " ".join(
        f"{'-' if labels[index] else '+'}{task.classes[index]}" for index in np.flatnonzero(wrong)
    )
