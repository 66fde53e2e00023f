"""Where things are in an image, as sources tell it: boxes around objects, and points.

Coordinates are x, y in pixels of the image as it is seen, EXIF orientation applied; the pixel in row r and column c
covers x from c to c + 1 and y from r to r + 1.
"""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """A box around an object: x from `x_min` up to `x_max`, y likewise.

    Args:
        label: class index.
        is_ignored: whether the object is neither to be learnt nor scored, such as a crowd.
        where: what tells it, for errors, such as `row 7 of boxes.csv`.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float
    label: int
    is_ignored: bool = False
    where: str = ""


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
