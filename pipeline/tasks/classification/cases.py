"""Test cases of classification: a row per image, the confusion matrix, and the most confident mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from pipeline.pictures.confusion import draw_confusion
from pipeline.pictures.heat import overlay_heat
from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.classification.task import Classification, confusion

COLUMNS = ("file", "actual", "predicted", "confidence")
MOST_MISTAKES = 16


def rows(task: Classification, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image."""
    probabilities, labels = evaluated.evidence[:, :-1], evaluated.evidence[:, -1].astype(int)
    guesses, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    for file, label, guess, confidence in zip(evaluated.files, labels, guesses, confidences, strict=True):
        yield file, task.classes[label], task.classes[guess], f"{confidence:.6f}"


def draw(task: Classification, evaluated: Evaluated, folder: Path) -> None:
    """Draw the confusion matrix, and the most confident mistakes if there are any, with what speaks for each class."""
    probabilities, labels = evaluated.evidence[:, :-1], evaluated.evidence[:, -1].astype(int)
    guesses, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    names = task.classes
    draw_confusion(confusion(evaluated.evidence), names, folder / "confusion.png")
    wrong = np.flatnonzero(guesses != labels)
    worst = wrong[np.argsort(-confidences[wrong], kind="stable")][:MOST_MISTAKES]
    if len(worst):
        captions = [
            f"{names[labels[i]]} as {names[guesses[i]]} {confidences[i]:.0%}\n{PurePath(evaluated.files[i]).name}"
            for i in worst
        ]
        images = np.asarray(evaluated.images[worst])
        draw_sheet(images, folder / "mistakes.png", captions=captions)
        if evaluated.explain is not None:
            maps = [
                evaluated.explain(worst.tolist(), indices[worst].tolist()) for indices in (guesses, labels)
            ]
            cells = [
                overlay_heat(image, heat) for image, *both in zip(images, *maps, strict=True) for heat in both
            ]
            speaking = [f"for {names[indices[i]]}" for i in worst for indices in (guesses, labels)]
            draw_sheet(cells, folder / "mistakes_maps.png", captions=speaking)
