"""Boxes and points over images, with their names.

Shapes: images (H, W, C) uint8 with C of 1 or 3; boxes (n, 4): x_min, y_min, x_max, y_max; points (k, 2): x, y; both in
pixels of the image, of which the first covers x and y from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures.colours import colour_of

if TYPE_CHECKING:
    from PIL import ImageDraw

Array = NDArray[np.uint8]

SMALLEST = 360  # pixels of the longer side; smaller images are enlarged, so that lines and names are legible
LINES = 300  # of which one is the width of a line, in lengths of the longer side
LETTERS = 32  # of which one is the height of a name, likewise
SHORTEST = 9  # pixels that a name is high at least


@dataclass(frozen=True)
class Marks:
    """What to draw over an image.

    Args:
        boxes: (n, 4).
        points: (k, 2).
        colours: of each box, then of each point; such as `#CC6677`.
        names: of each box, then of each point; empty text for none.
        is_dashed: of each box, then of each point: whether it is drawn lightly, as what is true beside what is
            predicted; empty if none is.
    """

    boxes: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 4)))
    points: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 2)))
    colours: Sequence[str] = ()
    names: Sequence[str] = ()
    is_dashed: Sequence[bool] = ()


def draw_boxes(
    image: Array,
    boxes: NDArray[Any],
    captions: Sequence[str],
    *,
    labels: Sequence[int] | None = None,
    colours: Sequence[str] | None = None,
    is_dashed: Sequence[bool] = (),
) -> Array:
    """Return an image as RGB with boxes, each below its caption; a small image is enlarged by a whole factor.

    Args:
        captions: of each box, such as `dog 87%`.
        labels: class index of each box, for its colour; not used with `colours`.
        colours: of each box, such as `#CC6677`; None for those of classes.
        is_dashed: whether each box is dashed; empty if none is.
    """
    chosen = [colour_of(label) for label in labels or [0] * len(boxes)] if colours is None else colours
    return draw_marks(image, Marks(boxes, colours=chosen, names=captions, is_dashed=is_dashed))


def draw_marks(image: Array, marks: Marks) -> Array:
    """Return an image as RGB with boxes and points over it; a small image is enlarged by a whole factor."""
    factor = max(1, -(-SMALLEST // max(image.shape[:2])))
    return mark(image.repeat(factor, axis=0).repeat(factor, axis=1), marks, scale=factor)


def mark(image: Array, marks: Marks, *, scale: float) -> Array:
    """Return an image as RGB with marks over it, of the same size.

    Args:
        scale: pixels of the image for each pixel of the marks' coordinates.
    """
    from PIL import Image, ImageDraw

    page = Image.fromarray(np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))))
    draw = ImageDraw.Draw(page)
    longer = max(page.size)
    width, height = max(1, round(longer / LINES)), max(SHORTEST, longer // LETTERS)
    dashed = marks.is_dashed or [False] * len(marks.colours)
    places = [*marks.boxes, *marks.points]
    for place, colour, is_dashed in zip(places, marks.colours, dashed, strict=True):
        corners = [float(side) * scale for side in place]
        if len(corners) == 4:
            _draw_box(draw, corners, colour, width, is_dashed=is_dashed)
        else:
            _draw_point(draw, corners, colour, width, is_dashed=is_dashed)
    for place, colour, name in zip(places, marks.colours, marks.names, strict=True):  # above all lines
        if name:
            _write(draw, [float(side) * scale for side in place[:2]], name, colour, height)
    return np.asarray(page)


def _draw_box(
    draw: ImageDraw.ImageDraw, corners: Sequence[float], colour: str, width: int, *, is_dashed: bool
) -> None:
    """Draw the outline of a box inside of it; dashes are as long as the gaps between them."""
    left, top, right, bottom = (round(side) for side in corners)
    right, bottom = max(left, right - 1), max(top, bottom - 1)  # Pillow draws the last pixel, too
    if not is_dashed:
        draw.rectangle((left, top, right, bottom), outline=colour, width=width)
        return
    dash = 4 * width
    for start in range(left, right + 1, 2 * dash):
        for y in (top, bottom - width + 1):
            draw.rectangle((start, y, min(start + dash, right), y + width - 1), fill=colour)
    for start in range(top, bottom + 1, 2 * dash):
        for x in (left, right - width + 1):
            draw.rectangle((x, start, x + width - 1, min(start + dash, bottom)), fill=colour)


def _draw_point(
    draw: ImageDraw.ImageDraw, point: Sequence[float], colour: str, width: int, *, is_dashed: bool
) -> None:
    """Draw a dot with a dark edge, or a ring if it is drawn lightly."""
    x, y = point
    radius = 2.5 * width
    disc = (x - radius, y - radius, x + radius, y + radius)
    if is_dashed:
        draw.ellipse(disc, outline=colour, width=width)
    else:
        draw.ellipse(disc, fill=colour, outline="#000000")


def _write(draw: ImageDraw.ImageDraw, corner: Sequence[float], name: str, colour: str, height: int) -> None:
    """Write a name on its colour above a place, or below its upper side where there is no room."""
    from PIL import ImageFont

    from pipeline.pictures.fonts import DEFAULT, find_fonts  # imports matplotlib

    font = ImageFont.truetype(next(iter(find_fonts(name)), DEFAULT), size=height)
    left, top, right, bottom = draw.textbbox((0, 0), name, font=font)
    page_width = draw.im.size[0]
    x = max(0, min(round(corner[0]), page_width - round(right - left) - 2))
    y = round(corner[1]) - round(bottom - top) - 3
    y = y if y >= 0 else round(corner[1]) + 1
    draw.rectangle((x, y, x + round(right - left) + 1, y + round(bottom - top) + 2), fill=colour)
    is_dark = sum(int(colour[place : place + 2], 16) for place in (1, 3, 5)) < 330
    draw.text((x + 1 - left, y + 1 - top), name, fill="#FFFFFF" if is_dark else "#000000", font=font)
