"""Decode images and masks to uint8 arrays; files that cannot be converted without loss are rejected.

Shapes: images (H, W, C), masks (H, W).
"""

from __future__ import annotations

import io
import re
import struct
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

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
ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 swap rows and columns


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


def decode_image(
    data: bytes, *, name: str, shape: tuple[int, int, int], max_pixels: int | None = None
) -> Pixels:
    """Decode an image and resize it (antialiased bilinear) to rows and columns of a shape.

    Grey becomes RGB, RGB of equal channels becomes grey, palettes are looked up, an opaque alpha channel is
    dropped, EXIF orientation is applied: all lossless.

    Args:
        shape: (C, H, W) to return as (H, W, C).
        max_pixels: rows times columns of the largest image on disk to decode; None for any.

    Raises:
        ConfigError: unreadable, too large, or not convertible without loss (16 bits, CMYK, transparency, colour
            where C is 1, several frames).
    """
    channels, rows, columns = shape
    pixels = convert(open_image(data, name, max_pixels), name, channels)
    if pixels.size != (columns, rows):
        pixels = pixels.resize((columns, rows), Image.Resampling.BILINEAR)
    return np.asarray(pixels, dtype=np.uint8).reshape(rows, columns, channels)


def read_sides(data: bytes) -> tuple[int, int]:
    """Return rows and columns of a readable image on disk, EXIF orientation applied."""
    image = Image.open(io.BytesIO(data), formats=ALLOWED)
    is_turned = image.getexif().get(ORIENTATION, 1) >= 5
    return (image.width, image.height) if is_turned else (image.height, image.width)


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
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return image
    except UnidentifiedImageError:
        raise _unknown_format(data, name) from None
    except (OSError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error) as reason:
        if isinstance(reason, ConfigError):
            raise
        raise ConfigError(name, f"unreadable image ({reason})", hint="replace or remove it") from None


def convert(image: Image.Image, name: str, channels: int) -> Image.Image:
    """Convert an image to grey (1 channel) or RGB (3 channels) without loss.

    Raises:
        ConfigError: it cannot be.
    """
    image = _opaque(image, name)
    return _to_grey(image, name) if channels == 1 else _to_rgb(image, name)


def is_grey(image: Image.Image) -> bool:
    """Return whether a converted image has equal channels."""
    if image.mode != "RGB":
        return True
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


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
    if image.mode.startswith("I"):
        return _from_16_bits(image, name).convert("RGB")
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
    if image.mode.startswith("I"):
        return _from_16_bits(image, name)
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
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535 or np.any(values % 257):
        raise _too_deep(name)
    return Image.fromarray((values // 257).astype(np.uint8))


def _too_deep(name: str) -> ConfigError:
    return ConfigError(name, got=16, allowed="an image with 8 bits per channel", hint="save it with 8 bits")
