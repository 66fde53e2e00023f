"""Predictions of style transfer for a user: each image in the style, in its own sides, as PNG.

Shapes: images (H, W, C) uint8.
"""

from __future__ import annotations

from pipeline.data.facts import Facts
from pipeline.data.pixel_facts import CUT
from pipeline.data.resizing import Resizing
from pipeline.tasks.predictions import Predicted, Presented

COLUMN = "prediction"


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present an image as a file; black where the network did not see the image."""
    image = predicted.decoded
    if facts.resize != CUT:
        sides = (facts.shape[1], facts.shape[2])
        image = Resizing(facts.resize, sides, facts.padding_value).place(predicted.sides).restore_image(image)
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    return Presented({}, arrays={COLUMN: pixels}, caption=f"{image.shape[1]} x {image.shape[0]} pixels")
