"""Predictions of detection for a user: a row for each box, in pixels of the image on disk."""

from __future__ import annotations

from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing
from pipeline.pictures.colours import colour_of
from pipeline.pictures.places import Marks
from pipeline.tasks.detection.demands import DEMANDS
from pipeline.tasks.predictions import Predicted, Presented

SIDES = ("x_min", "y_min", "x_max", "y_max")
COLUMNS = ("class", "confidence", *SIDES)


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present boxes (D, 6), one in each row; an image without any has a row of empty cells."""
    found = find_resizing(facts).place(predicted.sides).predictions(DEMANDS.places, predicted.decoded)
    found = found[found[:, 4] >= 0]
    names = [facts.classes[int(index)] for index in found[:, 4]]
    rows = [
        (name, f"{confidence:.6f}", *(f"{side:.2f}" for side in box))
        for name, confidence, box in zip(names, found[:, 5], found[:, :4], strict=True)
    ]
    first, *rest = [dict(zip(COLUMNS, row, strict=True)) for row in rows or [("",) * len(COLUMNS)]]
    shown = [f"{name} {confidence:.0%}" for name, confidence in zip(names, found[:, 5], strict=True)]
    marks = Marks(found[:, :4], colours=[colour_of(int(index)) for index in found[:, 4]], names=shown)
    return Presented(first, caption=", ".join(shown) or "no object", following=rest, marks=marks)
