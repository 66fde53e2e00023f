"""Test cases of restoration: a row per image, and details of the best, median and worst before and after.

Shapes: images (H, W, C), targets (C, H, W), N images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures.sheets import CELL, draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.restoration.task import Restoration

COLUMNS = ("file", "psnr", "gain", "ssim", "input_psnr", "input_ssim")
CASES = 2  # of each kind: best, median, worst
AMPLIFIED = 4  # times that errors are shown

Array = NDArray[np.uint8]


def rows(task: Restoration, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image."""
    del task
    for file, (psnr, ssim, input_psnr, input_ssim) in zip(evaluated.files, evaluated.evidence, strict=True):
        values = (psnr, psnr - input_psnr, ssim, input_psnr, input_ssim)
        yield file, *(f"{value:.4f}" for value in values)


def draw(task: Restoration, evaluated: Evaluated, folder: Path) -> None:
    """Draw the best, median and worst images by PSNR: the detail of each whose input is furthest from the truth."""
    psnr = evaluated.evidence[:, 0]
    order = [int(index) for index in np.argsort(-psnr, kind="stable") if not np.isnan(psnr[index])]
    middle = max(len(order) // 2 - CASES // 2, 0)
    kinds = {"best": order[:CASES], "median": order[middle : middle + CASES], "worst": order[-CASES:]}
    for kind, chosen in kinds.items() if order else ():
        cells: list[Array] = []
        captions: list[str] = []
        for index in chosen:
            cells += _details(task, evaluated, index)
            stem, row = Path(evaluated.files[index]).stem, evaluated.evidence[index]
            captions += [f"{stem}\ninput, {row[2]:.2f} dB", f"restored, {row[0]:.2f} dB", "true"]
            captions.append(f"error x {AMPLIFIED}")
        draw_sheet(cells, folder / f"{kind}.png", captions=captions, columns=4)


def _details(task: Restoration, evaluated: Evaluated, index: int) -> list[Array]:
    """Return the same detail of input, restored and true image, and of the error."""
    true: Array = np.asarray(evaluated.targets[index]).transpose(1, 2, 0)
    restored: Array = np.asarray(evaluated.decoded[index])
    given = task.enlarged(np.asarray(evaluated.images[index])[None])[0]
    error = np.abs(restored.astype(int) - true.astype(int)).max(axis=2, keepdims=True)
    top, left = _find_detail(np.square(given.astype(float) - true).sum(axis=2))
    shown: list[Any] = [given, restored, true, np.minimum(error * AMPLIFIED, 255).astype(np.uint8)]
    return [each[top : top + CELL, left : left + CELL] for each in shown]


def _find_detail(errors: NDArray[np.float64]) -> tuple[int, int]:
    """Return the first row and column of the square of `CELL` pixels with the largest sum; 0 if it does not fit."""
    rows, columns = (min(CELL, side) for side in errors.shape)
    sums = np.pad(errors, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top), int(left)
