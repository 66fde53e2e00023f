"""Predictions of landmarks for a user: the points, in pixels of the image on disk."""

from __future__ import annotations

from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing
from pipeline.pictures.colours import colour_of
from pipeline.pictures.places import Marks
from pipeline.tasks.landmarks.demands import DEMANDS
from pipeline.tasks.predictions import Predicted, Presented


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present points (K, 3) as two cells each; the middle of the first pixel is 0.5, 0.5."""
    names = facts.points or []
    place = find_resizing(facts).place(predicted.sides)
    points = place.predictions(DEMANDS.places, predicted.decoded)[:, :2]
    cells = {
        f"{name}_{axis}": f"{value:.2f}"
        for name, point in zip(names, points, strict=True)
        for axis, value in zip("xy", point, strict=True)
    }
    colours = [colour_of(index) for index in range(len(names))]
    return Presented(cells, marks=Marks(points=points, colours=colours, names=names))
