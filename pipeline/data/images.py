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
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

from pipeline.data import value_ranges
from pipeline.data.depth import is_deep
from pipeline.data.facts import Facts
from pipeline.data.pixel_facts import CUT
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
    (rb"....ftypavi[fs]", "AVIF"),
    (rb"P[1-7][\s#]", "PPM"),
)
MOST_META = 1 << 16  # bytes of an AVIF file in which its properties are looked for
BAND = 2**18  # pixels that are compared at once
ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 swap rows and columns


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
    return _find_format(data) not in (None, FORMATS.get(PurePosixPath(name).suffix.lower()))


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
    if facts.resize == CUT and (image.height < rows or image.width < columns):
        raise ConfigError(
            name,
            f"has {image.height} x {image.width} pixels, fewer than the {rows} x {columns} of data.shape to cut out",
            hint="choose smaller sides in data.shape, or remove it",
        )
    sides, is_clipped = (image.height, image.width), value_ranges.is_clipped(image, name, facts.value_range)
    resized = find_resizing(facts).image(convert(image, name, channels, facts.value_range))
    pixels = np.frombuffer(resized.tobytes(), np.uint8).reshape(rows, columns, channels)
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
    # Of TIFF, Pillow gives the size as it is seen, before pixels are decoded.
    is_turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) >= 5
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
        if _find_format(data) == "AVIF":
            _refuse_deep_avif(data, name)
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
        value_ranges.note_largest(image)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return image
    except UnidentifiedImageError:
        raise _unknown_format(data, name) from None
    except (OSError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error) as reason:
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
        image = value_ranges.apply_range(image, name, value_range)
    elif is_deep(image):
        image = value_ranges.narrow(image, name)
    image = _opaque(image, name)
    return _to_grey(image, name) if channels == 1 else _to_rgb(image, name)


def is_grey(image: Image.Image) -> bool:
    """Return whether a converted image has equal channels."""
    if image.mode != "RGB":
        return True
    rows = max(1, BAND // image.width)  # all at once would take 6 bytes per pixel
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        red, green, blue = (channel.tobytes() for channel in band.split())
        if not red == green == blue:
            return False
    return True


def _find_format(data: bytes) -> str | None:
    """Return the format that the first bytes of a file tell."""
    return next((each for signature, each in SIGNATURES if re.match(signature, data, re.DOTALL)), None)


def _unknown_format(data: bytes, name: str) -> ConfigError:
    """Return the error for a file that Pillow does not recognise."""
    if _find_format(data) == "AVIF" and not features.check("avif"):
        hint = "install a wheel of Pillow that has libavif, as those of PyPI have, or save it as PNG"
        return ConfigError(name, "is an AVIF image, which the installed Pillow cannot decode", hint=hint)
    return ConfigError(
        name, f"is not an image of a known format ({', '.join(ALLOWED)})", hint="replace or remove it"
    )


def _refuse_deep_avif(data: bytes, name: str) -> None:
    """Reject AVIF of 10 or 12 bits, which Pillow would silently reduce to 8; its box `pixi` tells the bits."""
    place = data[:MOST_META].find(b"pixi")
    bits = data[place + 9 : place + 9 + data[place + 8]] if 0 <= place < len(data) - 9 else b""
    if max(bits, default=8) > 8:
        raise _too_deep(name)


def _refuse_deep_colour(image: ImageFile.ImageFile, name: str) -> None:
    """Reject 16-bit colour (PNG, TIFF, PPM), which Pillow would silently truncate to 8 bits."""
    for tile in image.tile:
        layout = tile.args if isinstance(tile.args, tuple) else (tile.args,)  # ("RGB;16B", ...)
        is_deep = re.search(r";16[BLN]$", str(layout[0])) is not None
        is_deep |= tile.codec_name.startswith("ppm") and layout[-1] > 255  # ("RGB", largest value)
        if is_deep and not image.mode.startswith("I"):
            raise _too_deep(name)


def _too_deep(name: str) -> ConfigError:
    return ConfigError(name, got=16, allowed="an image with 8 bits per channel", hint="save it with 8 bits")


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
