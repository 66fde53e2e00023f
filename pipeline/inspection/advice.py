"""Advice on a data set: shape, channels, resize rule, length of a first run, and what is unusual about its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.data.facts import Facts
from pipeline.data.pixel_facts import LETTERBOX, SQUASH
from pipeline.data.remarks import TURNED, Remarks, is_squashed
from pipeline.data.targets.kind import TargetKind
from pipeline.inspection.mask_facts import IGNORED
from pipeline.inspection.survey import Survey

SIDE = 16  # pixels: sides are multiples of it, as a U-Net halves them up to four times
SHORTEST = 32  # pixels of the shorter side
LONGEST = 128  # pixels of the longer side: enough for a first run on a processor
BITS = (10, 12, 14, 16)  # that cameras and scanners have
MOST_SQUASHED = 0.1  # share of the images whose aspect ratio may change by more than a quarter

SPEED = 4e10  # multiply-adds per second of two cores of a processor, as measured with resnet18 in single precision
MOST_MINUTES = 10  # of a first run
FEWEST_EPOCHS = 3


def suggest_shape(survey: Survey) -> list[int]:
    """Return [C, H, W]: the median sides in multiples of 16, from 32 to 128 pixels."""
    sides = np.array(list(survey.sides), dtype=float).reshape(-1, 2)
    counts = np.array(list(survey.sides.values()))
    rows, columns = (float(np.median(np.repeat(each, counts))) for each in sides.T)
    scale = min(1.0, LONGEST / max(rows, columns))
    rows, columns = (max(SHORTEST, SIDE * round(side * scale / SIDE)) for side in (rows, columns))
    return [3 if survey.is_colour else 1, int(rows), int(columns)]


def suggest_resizing(survey: Survey, facts: Facts, kind: TargetKind) -> dict[str, Any]:
    """Return the fact `resize`: a letterbox if many images are squashed; then also `ignore_label` if masks need it."""
    squashed = sum(count for sides, count in survey.sides.items() if is_squashed(sides, facts))
    if squashed <= MOST_SQUASHED * survey.sides.total():
        return {"resize": SQUASH}
    is_padded = kind.moves_as == "mask" and facts.ignore_label is None
    return {"resize": LETTERBOX, **({"ignore_label": IGNORED} if is_padded else {})}


def suggest_range(survey: Survey) -> list[int] | None:
    """Return the fact `value_range`: from 0, or from the least value below it, to the end of 10 bits or more."""
    if survey.extrema is None:
        return None
    low, high = survey.extrema
    return [min(0, low), next((2**bits - 1 for bits in BITS if high < 2**bits), high)]


def estimate_epoch(multiply_adds: int, survey: Survey) -> float:
    """Return the minutes of an epoch on two cores; a backward pass takes twice as long as a forward one.

    Args:
        multiply_adds: of the network for one image.
    """
    counts = Counter(sample.split for sample in survey.samples)
    return multiply_adds * (3 * counts["train"] + counts["val"]) / SPEED / 60


def suggest_epochs(minutes: float, epochs: int) -> int:
    """Return how many epochs end in minutes, at least one.

    Args:
        minutes: that each takes.
        epochs: that are declared.
    """
    return min(epochs, max(1, int(MOST_MINUTES / minutes))) if minutes else epochs


def suggest_smaller(shape: Sequence[int]) -> list[int] | None:
    """Return [C, H, W] of half the sides, in multiples of 16; None if they are as short as is of use."""
    rows, columns = (SIDE * round(side / 2 / SIDE) for side in shape[1:])
    return None if min(rows, columns) < SHORTEST else [shape[0], rows, columns]


def find_remarks(survey: Survey, facts: Facts) -> list[str]:
    """Return what is unusual about the images, in sentences."""
    remarks = Remarks()
    for sides, count in survey.sides.items():
        remarks.note_sides(sides, survey.samples[survey.first[sides]].file, facts, count=count)
    for index in survey.turned:
        remarks.note(TURNED, survey.samples[index].file)
    return remarks.sentences()
