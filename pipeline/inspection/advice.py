"""Advice on a data set: shape, channels, and what the images suffer by resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.inspection.survey import Survey

SIDE = 16  # pixels: sides are multiples of it, as a U-Net halves them up to four times
SHORTEST = 32  # pixels of the shorter side
LONGEST = 128  # pixels of the longer side: enough for a first run on a processor
SQUASHED = 1.25  # factor on the aspect ratio from which on resizing deserves a remark


def suggest_shape(survey: Survey) -> list[int]:
    """Return [C, H, W]: the median sides in multiples of 16, from 32 to 128 pixels."""
    sides = np.array(list(survey.sides), dtype=float).reshape(-1, 2)
    counts = np.array(list(survey.sides.values()))
    rows, columns = (float(np.median(np.repeat(each, counts))) for each in sides.T)
    scale = min(1.0, LONGEST / max(rows, columns))
    rows, columns = (max(SHORTEST, SIDE * round(side * scale / SIDE)) for side in (rows, columns))
    return [3 if survey.is_colour else 1, int(rows), int(columns)]


def count_squashed(survey: Survey, shape: Sequence[int]) -> int:
    """Return how many images change their aspect ratio by more than a quarter when they are resized to a shape."""
    found = 0
    for (rows, columns), count in survey.sides.items():
        factor = rows / columns / (shape[1] / shape[2])
        found += count * (not 1 / SQUASHED <= factor <= SQUASHED)
    return found
