"""Predictions of localization for a user: class, confidence and box, in pixels of the image on disk."""

from __future__ import annotations

from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing
from pipeline.pictures.colours import colour_of
from pipeline.pictures.places import Marks
from pipeline.tasks.localization.demands import DEMANDS
from pipeline.tasks.predictions import Predicted, Presented

COLUMNS = ("class", "confidence", "x_min", "y_min", "x_max", "y_max")


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present one box (1, 6); an image without an object has empty cells."""
    (found,) = find_resizing(facts).place(predicted.sides).predictions(DEMANDS.places, predicted.decoded)
    if found[4] < 0:
        return Presented(dict.fromkeys(COLUMNS, ""), caption="no object")
    index, confidence = int(found[4]), found[5]
    name = facts.classes[index]
    cells = (name, f"{confidence:.6f}", *(f"{side:.2f}" for side in found[:4]))
    shown = f"{name} {confidence:.0%}"
    return Presented(
        dict(zip(COLUMNS, cells, strict=True)),
        shares={name: 1.0},
        caption=shown,
        marks=Marks(found[None, :4], colours=[colour_of(index)], names=[shown]),
    )
