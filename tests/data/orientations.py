"""Photographs that were stored turned or mirrored, as cameras do."""

from typing import Any

import numpy as np
from PIL import Image

from tests.makers import encode

ORIENTATION = 0x0112
# EXIF 2.3, tag Orientation: what was done to the picture before it was stored.
TURNS = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: np.rot90,
}


def oriented(pixels: Any, orientation: int, file_format: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(pixels, file_format, exif=exif)
