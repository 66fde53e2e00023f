"""Predictions of restoration for a user: each image restored, in its own sides times the factor, as PNG.

Shapes: images (H, W, C) uint8.
"""

from __future__ import annotations

from pipeline.data.degrade_facts import degraded_shape
from pipeline.data.facts import Facts
from pipeline.data.pixel_facts import CUT
from pipeline.data.resizing import Resizing
from pipeline.tasks.predictions import Predicted, Presented

COLUMN = "restoration"


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present a restored image as a file; black where the network did not see the image."""
    image = predicted.decoded
    if facts.resize != CUT:
        sides = degraded_shape(facts)[1:]
        image = Resizing(facts.resize, sides, facts.padding_value).place(predicted.sides).restore_image(image)
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    size = f"{image.shape[1]} x {image.shape[0]}"
    return Presented({}, arrays={COLUMN: pixels}, caption=f"restored: {size} pixels")
