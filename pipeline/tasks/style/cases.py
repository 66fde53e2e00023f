"""Test cases of style transfer: a row per image, and content, style and result side by side.

Shapes: images (H, W, C), targets (C, H, W), N images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.style.task import Style
from pipeline.tasks.task import Evidence

COLUMNS = ("file", "style_error", "content_error", "input_style_error")
MOST = 6  # images on the sheet
CELL = 224  # pixels across

Array = NDArray[np.uint8]


def rows(task: Style, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image."""
    del task
    for file, errors in zip(evaluated.files, evaluated.evidence, strict=True):
        yield file, *(f"{value:.5f}" for value in errors)


def draw(task: Style, evaluated: Evaluated, folder: Path) -> None:
    """Draw the first images."""
    shown = range(min(MOST, len(evaluated.files)))
    contents = [np.asarray(evaluated.targets[index]).transpose(1, 2, 0) for index in shown]
    results = [np.asarray(evaluated.decoded[index]) for index in shown]
    if contents:
        draw_rows(task, contents, results, evaluated.evidence, folder / "results.png")


def draw_rows(
    task: Style,
    contents: Sequence[Array] | Array,
    results: Sequence[Array] | Array,
    evidence: Evidence,
    path: Path,
) -> None:
    """Draw a row for each image: the content, the style, and the result with its errors."""
    style, cells, captions = _fitted(task.style_picture()), list[Array](), list[str]()
    for content, result, errors in zip(contents, results, evidence, strict=False):
        cells += [_fitted(content), style, _fitted(result)]
        captions += [
            f"content, style error {errors[2]:.3f}",
            "style",
            f"result, style error {errors[0]:.3f}, content error {errors[1]:.3f}",
        ]
    draw_sheet(cells, path, captions=captions, columns=3, cell=CELL)


def _fitted(image: Any) -> Array:
    """Return an image in colour with `CELL` columns."""
    pixels = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.uint8)
    rows = max(1, round(CELL * image.shape[0] / image.shape[1]))
    return np.asarray(Image.fromarray(pixels).resize((CELL, rows), Image.Resampling.BICUBIC))
