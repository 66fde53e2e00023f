"""Decode images and masks to uint8 arrays; files that cannot be converted without loss are rejected.

Shapes: images (H, W, C), masks (H, W).
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from pipeline.data.depth import are_whole, is_deep, to_8_bits
from pipeline.data.facts import Facts
from pipeline.data.resizing import Resizing
from pipeline.data.sources import FORMATS
from pipeline.errors import ConfigError

Pixels = NDArray[np.uint8]

# Pillow recognises a format by a file's content, and would start Ghostscript for EPS, whatever the file is called.
ALLOWED = tuple(sorted(set(FORMATS.values())))
# How the files of each format begin.
SIGNATURES = (
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"BM", "BMP"),
    (rb"GIF8", "GIF"),
    (rb"II[*+]\x00|MM\x00[*+]", "TIFF"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"P[1-7][\s#]", "PPM"),
)
ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 swap rows and columns
LARGEST = "largest value"  # of a PGM file, to which Pillow scales 16 bits; a key of Pillow's `info`


class Decoded(NamedTuple):
    """A decoded image.

    Args:
        pixels: (H, W, C), as they are prepared.
        sides: rows and columns on disk, EXIF orientation applied.
        is_clipped: whether values were outside of `data.value_range`.
    """

    pixels: Pixels
    sides: tuple[int, int]
    is_clipped: bool


def load_formats() -> None:
    """Load all formats of Pillow; must be called before decoding in several threads.

    Pillow loads most formats lazily; without this, another thread may see them partially loaded and fail to read its
    file. Its own bound on pixels is lifted, since `max_pixels` takes its place.
    """
    Image.init()
    Image.MAX_IMAGE_PIXELS = None


def is_misnamed(data: bytes, name: str) -> bool:
    """Return whether the contents of an image are of another format than its suffix says."""
    found = next((each for signature, each in SIGNATURES if re.match(signature, data, re.DOTALL)), None)
    return found not in (None, FORMATS.get(PurePosixPath(name).suffix.lower()))


def decode_image(data: bytes, *, name: str, facts: Facts) -> Decoded:
    """Decode an image and resize it as facts say.

    Grey becomes RGB, RGB of equal channels becomes grey, palettes are looked up, an opaque alpha channel is
    dropped, EXIF orientation is applied: all lossless. Grey of more than 8 bits becomes 8 by `facts.value_range`.

    Raises:
        ConfigError: unreadable, too large, or not convertible without loss (16 bits without a range, CMYK,
            transparency, colour where C is 1, several frames).
    """
    channels, rows, columns = facts.shape
    image = open_image(data, name, facts.max_pixels)
    sides, is_clipped = (image.height, image.width), _is_clipped(image, name, facts.value_range)
    resized = find_resizing(facts).image(convert(image, name, channels, facts.value_range))
    pixels = np.asarray(resized, dtype=np.uint8).reshape(rows, columns, channels)
    return Decoded(pixels, sides, is_clipped)


def decode_original(data: bytes, *, name: str, facts: Facts) -> Pixels:
    """Decode an image as `decode_image`, but in its own sides: (H, W, C)."""
    image = convert(open_image(data, name, facts.max_pixels), name, facts.shape[0], facts.value_range)
    return np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, -1)


def find_resizing(facts: Facts) -> Resizing:
    """Return the rule by which the images of a data set are resized."""
    return Resizing(facts.resize, (facts.shape[1], facts.shape[2]), facts.padding_value)


def read_sides(data: bytes) -> tuple[int, int]:
    """Return rows and columns of a readable image on disk, EXIF orientation applied."""
    image = Image.open(io.BytesIO(data), formats=ALLOWED)
    is_turned = image.getexif().get(ORIENTATION, 1) >= 5
    return (image.width, image.height) if is_turned else (image.height, image.width)


def is_turned(data: bytes) -> bool:
    """Return whether the EXIF orientation of a readable image turns or mirrors it."""
    return Image.open(io.BytesIO(data), formats=ALLOWED).getexif().get(ORIENTATION, 1) in range(2, 9)


def open_image(data: bytes, name: str, max_pixels: int | None = None) -> Image.Image:
    """Decode an image of any mode and apply its EXIF orientation.

    Raises:
        ConfigError: unreadable, too large, of 16-bit colour, or of several frames.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=ALLOWED)
        num_pixels = image.width * image.height
        if max_pixels is not None and num_pixels > max_pixels:
            raise ConfigError(
                name,
                f"has {num_pixels:,} pixels, more than data.max_pixels={max_pixels}",
                hint="downscale it, or raise data.max_pixels",
            )
        if (
            getattr(image, "is_animated", False) and image.format != "MPO"
        ):  # a JPEG with more pictures behind it
            raise ConfigError(name, "has several frames", hint="save the frame you need to a file of its own")
        _refuse_deep_colour(image, name)
        largest = _largest_value(image)
        image.load()
        if largest is not None:
            image.info[LARGEST] = largest
        ImageOps.exif_transpose(image, in_place=True)
        return image
    except UnidentifiedImageError:
        raise ConfigError(
            name, f"is not an image of a known format ({', '.join(ALLOWED)})", hint="replace or remove it"
        ) from None
    except (OSError, SyntaxError, TypeError, ValueError, struct.error) as reason:
        if isinstance(reason, ConfigError):
            raise
        raise ConfigError(name, f"unreadable image ({reason})", hint="replace or remove it") from None


def convert(
    image: Image.Image, name: str, channels: int, value_range: Sequence[int] | None = None
) -> Image.Image:
    """Convert an image to grey (1 channel) or RGB (3 channels) of 8 bits, without loss.

    Args:
        value_range: of grey with more bits, see `to_8_bits`; None for images with 8 bits, or with 8 widened to 16.

    Raises:
        ConfigError: it cannot be.
    """
    if value_range is not None:
        image = _by_range(image, name, value_range)
    elif is_deep(image):
        image = _from_16_bits(image, name)
    image = _opaque(image, name)
    return _to_grey(image, name) if channels == 1 else _to_rgb(image, name)


def find_extrema(image: Image.Image, name: str) -> tuple[int, int] | None:
    """Return the smallest and the largest value of a deep image; None for 8 bits, also if widened to 16 (v * 257).

    Raises:
        ConfigError: its values are no whole numbers.
    """
    if not is_deep(image):
        return None
    values = _values(image, name)
    low, high = int(values.min()), int(values.max())
    return (low, high) if low < 0 or high > 65535 or np.any(values % 257) else None


def is_grey(image: Image.Image) -> bool:
    """Return whether a converted image has equal channels."""
    if image.mode != "RGB":
        return True
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _refuse_deep_colour(image: ImageFile.ImageFile, name: str) -> None:
    """Reject 16-bit colour (PNG, TIFF, PPM), which Pillow would silently truncate to 8 bits."""
    for tile in image.tile:
        layout = tile.args if isinstance(tile.args, tuple) else (tile.args,)  # ("RGB;16B", ...)
        is_deep = re.search(r";16[BLN]$", str(layout[0])) is not None
        is_deep |= tile.codec_name.startswith("ppm") and layout[-1] > 255  # ("RGB", largest value)
        if is_deep and not image.mode.startswith("I"):
            raise ConfigError(
                name, got=16, allowed="an image with 8 bits per channel", hint="save it with 8 bits"
            )


def _largest_value(image: ImageFile.ImageFile) -> int | None:
    """Return the largest value that a PGM file of 16 bits declares; None for other files, and for 65535."""
    for tile in image.tile:
        if tile.codec_name.startswith("ppm") and image.mode == "I" and isinstance(tile.args, tuple):
            return int(tile.args[-1])
    return None


def _opaque(image: Image.Image, name: str) -> Image.Image:
    """Drop an alpha channel, or a colour declared transparent, that hides no pixel."""
    if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        image = image.convert("RGBA")
    if image.mode not in ("RGBA", "LA", "PA"):
        return image
    if image.getchannel("A").getextrema() != (255, 255):
        raise ConfigError(
            name, "image has transparent pixels", hint="paste it onto a background and save it without alpha"
        )
    return image.convert("RGB")


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode in ("L", "1"):
        return image.convert("RGB")
    if image.mode == "P":
        return image.convert("RGB")
    if image.mode != "RGB":
        raise ConfigError(
            name, "image mode cannot be converted without loss", got=image.mode, hint="save it as RGB"
        )
    return image


def _to_grey(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "L":
        return image
    if image.mode == "1":
        return image.convert("L")
    colour = _to_rgb(image, name)
    if not is_grey(colour):
        raise ConfigError(
            name,
            "image is in colour, but data.shape has 1 channel",
            hint="set 3 channels in data.shape, or save it in grey",
        )
    return colour.getchannel("R")


def _from_16_bits(image: Image.Image, name: str) -> Image.Image:
    """Return 8 bits of a grey image whose 16-bit values are 8-bit ones widened (v * 257)."""
    extrema, values = find_extrema(image, name), _values(image, name)
    if extrema is not None:
        raise ConfigError(
            name,
            f"has more than 8 bits: values from {extrema[0]} to {extrema[1]}",
            hint="set data.value_range=[<low>,<high>], the values that become black and white, or save it with 8 bits",
        )
    return Image.fromarray((values // 257).astype(np.uint8))


def _by_range(image: Image.Image, name: str, value_range: Sequence[int]) -> Image.Image:
    """Return 8 bits of a deep image by the declared range of its values."""
    if not is_deep(image):
        raise ConfigError(
            name,
            "has 8 bits per channel, and data.value_range is for more",
            got=image.mode,
            hint="remove data.value_range, or save all images with 16 bits",
        )
    return Image.fromarray(to_8_bits(_values(image, name), value_range))


def _is_clipped(image: Image.Image, name: str, value_range: Sequence[int] | None) -> bool:
    if value_range is None or not is_deep(image):
        return False
    values = _values(image, name)
    return bool(values.min() < value_range[0] or values.max() > value_range[1])


def _values(image: Image.Image, name: str) -> NDArray[np.int64]:
    """Return the values of a deep image, as its file has them."""
    values = np.asarray(image)
    if not are_whole(values):
        raise ConfigError(
            name,
            "has values that are no whole numbers",
            got=image.mode,
            hint="save it with whole numbers, of 8 or 16 bits",
        )
    if LARGEST in image.info:  # Pillow scaled them to 65535
        values = np.round(values * (image.info[LARGEST] / 65535))
    return values.astype(np.int64)
