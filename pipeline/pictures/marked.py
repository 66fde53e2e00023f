"""Single images with a prediction marked on them: a mask painted over, or a caption above.

Shapes: images (H, W, C) uint8 with C of 1 or 3; masks (H, W) of class indices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.pictures.fonts import DEFAULT, find_fonts
from pipeline.pictures.sheets import overlay

Array = NDArray[np.uint8]

STRIP = 256  # rows painted at once, which bounds the memory that a large image takes
NARROWEST = 160  # pixels across that a caption needs; smaller images are enlarged
LINE = 24  # pixels of a caption


def paint(image: Array, mask: Array) -> Array:
    """Return an image as RGB with a mask painted over it, of the same size."""
    strips = range(0, len(image), STRIP)
    return np.concatenate([overlay(image[top : top + STRIP], mask[top : top + STRIP]) for top in strips])


def caption(image: Array, text: str) -> Array:
    """Return an image as RGB below a line of text; a small image is enlarged by a whole factor."""
    factor = -(-NARROWEST // image.shape[1])
    rows, columns = image.shape[0] * factor, image.shape[1] * factor
    canvas = np.full((LINE + rows, columns, 3), 255, dtype=np.uint8)
    canvas[LINE:] = image.repeat(factor, axis=0).repeat(factor, axis=1) if factor > 1 else image
    page = Image.fromarray(canvas)
    font = ImageFont.truetype(next(iter(find_fonts(text)), DEFAULT), size=LINE * 2 // 3)
    ImageDraw.Draw(page).text((4, 2), text, fill=(0, 0, 0), font=font)
    return np.asarray(page)
