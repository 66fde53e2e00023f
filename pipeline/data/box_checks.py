"""What is wrong with the boxes of a data set as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pipeline.data.places import Box
from pipeline.errors import ConfigError


def check_unit(boxes: Iterable[Collection[Box]], name: str) -> None:
    """Check that boxes are in pixels.

    Args:
        boxes: of each image.
        name: of the file that tells them.

    Raises:
        ConfigError: all of them end below one pixel, so that they are shares of the image's sides.
    """
    largest = max((max(box.x_max, box.y_max) for each in boxes for box in each), default=None)
    if largest is not None and largest <= 1:
        raise ConfigError(
            name,
            f"all boxes end at or before {largest:g}, as if they were shares of the image's sides",
            hint="multiply x by the columns and y by the rows of the image, as boxes are in pixels",
        )
