"""Grey images of more than 8 bits: their values as the file has them, and their 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from pipeline.data.depth import are_whole, is_deep, to_8_bits
from pipeline.errors import ConfigError

LARGEST = "largest value"  # of a PGM file, to which Pillow scales 16 bits; a key of Pillow's `info`
BAND = 2**16  # pixels that are converted at once


def note_largest(image: ImageFile.ImageFile) -> None:
    """Note the largest value that a PGM file of 16 bits declares, before it is loaded: Pillow scales that to 65535."""
    for tile in image.tile:
        if tile.codec_name.startswith("ppm") and image.mode == "I" and isinstance(tile.args, tuple):
            image.info[LARGEST] = int(tile.args[-1])


def find_extrema(image: Image.Image, name: str) -> tuple[int, int] | None:
    """Return the smallest and the largest value of a deep image; None for 8 bits, also if widened to 16 (v * 257).

    Raises:
        ConfigError: its values are no whole numbers.
    """
    if not is_deep(image):
        return None
    low, high, is_widened = 65535, 0, True
    for values in _bands(image, name):
        low, high = min(low, int(values.min())), max(high, int(values.max()))
        is_widened &= not np.any(values % 257)
    return None if 0 <= low <= high <= 65535 and is_widened else (low, high)


def narrow(image: Image.Image, name: str) -> Image.Image:
    """Return 8 bits of a grey image whose 16-bit values are 8-bit ones widened (v * 257)."""
    extrema = find_extrema(image, name)
    if extrema is not None:
        raise ConfigError(
            name,
            f"has more than 8 bits: values from {extrema[0]} to {extrema[1]}",
            hint="set data.value_range=[<low>,<high>], the values that become black and white, or save it with 8 bits",
        )
    return _convert(image, name, lambda values: values // 257)


def apply_range(image: Image.Image, name: str, value_range: Sequence[int]) -> Image.Image:
    """Return 8 bits of a deep image by the declared range of its values."""
    if not is_deep(image):
        raise ConfigError(
            name,
            "has 8 bits per channel, and data.value_range is for more",
            got=image.mode,
            hint="remove data.value_range, or save all images with 16 bits",
        )
    return _convert(image, name, lambda values: to_8_bits(values, value_range))


def is_clipped(image: Image.Image, name: str, value_range: Sequence[int] | None) -> bool:
    """Return whether a deep image has values outside of a range."""
    if value_range is None or not is_deep(image):
        return False
    low, high = value_range
    return any(values.min() < low or values.max() > high for values in _bands(image, name))


def _convert(
    image: Image.Image, name: str, convert: Callable[[NDArray[np.int64]], NDArray[Any]]
) -> Image.Image:
    grey, top = np.empty((image.height, image.width), np.uint8), 0
    for values in _bands(image, name):
        grey[top : top + len(values)] = convert(values)
        top += len(values)
    return Image.fromarray(grey)


def _bands(image: Image.Image, name: str) -> Iterator[NDArray[np.int64]]:
    """Yield the values of a deep image, as its file has them, some rows at a time: all take 8 bytes per pixel."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        if not are_whole(values):
            raise ConfigError(
                name,
                "has values that are no whole numbers",
                got=image.mode,
                hint="save it with whole numbers, of 8 or 16 bits",
            )
        if LARGEST in image.info:  # Pillow scaled them to 65535
            values = np.round(values * (image.info[LARGEST] / 65535))
        yield values.astype(np.int64)
