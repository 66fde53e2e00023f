"""Test cases of segmentation: a row per image, and a figure of the best, median and worst images with their masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.segmentation.task import Segmentation

COLUMNS = ("file", "dice")
NO_CLASS = 255  # a mask value that is drawn as transparent
CASES = 4  # of each kind: best, median, worst


def rows(task: Segmentation, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image."""
    for file, value in zip(evaluated.files, task.image_scores(evaluated.evidence), strict=True):
        yield file, f"{value:.6f}"


def draw(task: Segmentation, evaluated: Evaluated, folder: Path) -> None:
    """Draw the best, median and worst images by Dice, with true and predicted masks."""
    dice = task.image_scores(evaluated.evidence)
    order = [int(i) for i in np.argsort(-dice, kind="stable") if not np.isnan(dice[i])]
    middle = max(len(order) // 2 - CASES // 2, 0)
    kinds = {"best": order[:CASES], "median": order[middle : middle + CASES], "worst": order[-CASES:]}
    for kind, chosen in kinds.items() if order else ():
        masks, captions = [], []
        for index in chosen:
            true = evaluated.targets[index]
            masks += [true, _framed(evaluated.decoded[index], true.shape)]
            stem = Path(evaluated.files[index]).stem
            captions += [f"{stem}: true", f"predicted, Dice {dice[index]:.3f}"]
        draw_sheet(
            np.stack([evaluated.images[index] for index in chosen for _ in range(2)]),
            folder / f"{kind}.png",
            masks=np.stack(masks),
            classes=task.classes,
            captions=captions,
        )


def _framed(guess: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pad a mask of the centre of an image to the size of the image; the padding belongs to no class."""
    framed = np.full(shape, NO_CLASS, dtype=np.uint8)
    top, left = ((a - b) // 2 for a, b in zip(shape, guess.shape, strict=True))
    framed[top : top + guess.shape[0], left : left + guess.shape[1]] = guess
    return framed
