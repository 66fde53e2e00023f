"""Where things are in an image, as sources tell it: boxes around objects, and points.

Coordinates are x, y in pixels of the image as it is seen, EXIF orientation applied; the pixel in row r and column c
covers x from c to c + 1 and y from r to r + 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pipeline.errors import ConfigError


class Box(NamedTuple):
    """A box around an object: x from `x_min` up to `x_max`, y likewise.

    Args:
        label: class index.
        is_ignored: whether the object is neither to be learnt nor scored, such as a crowd.
        where: what tells it, for errors, such as `row 7 of boxes.csv`.
        is_share: whether coordinates are shares of the image's sides, instead of pixels.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float
    label: int
    is_ignored: bool = False
    where: str = ""
    is_share: bool = False


class Point(NamedTuple):
    """A point.

    Args:
        is_labelled: whether it is known where the point is; otherwise x and y say nothing.
        where: what tells it, for errors.
    """

    x: float
    y: float
    is_labelled: bool = True
    where: str = ""


def check_unit(ends: Iterable[float], what: str, name: str) -> None:
    """Check that places are in pixels.

    Args:
        ends: the larger coordinate of each, along x or y.
        what: they are, such as `boxes`.
        name: of the file that tells them.

    Raises:
        ConfigError: all of them are below one pixel, as shares of the image's sides are.
    """
    largest = max(ends, default=None)
    if largest is not None and largest <= 1:
        raise ConfigError(
            name,
            f"all {what} end at or before {largest:g}, as if they were shares of the image's sides",
            hint=f"multiply x by the columns and y by the rows of the image, as {what} are in pixels",
        )
