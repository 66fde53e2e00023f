"""Files that are called images: bytes of every kind that a stranger's data set may hold, and what becomes of each."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from tests.makers import deep_png, deep_tiff, encode, huge_png

SIDES = (8, 8)
RANDOM = np.random.default_rng(15)
GREY = RANDOM.integers(0, 256, SIDES, dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (*SIDES, 3), dtype=np.uint8)
WIDE = GREY.astype(np.uint16) * 257


@dataclass(frozen=True)
class File:
    """Contents of a file called `.png`; `taken` if it is an image that can be used without loss.

    Args:
        data: the bytes, or what makes them, where that takes long.
        sides: whether it has the sides of the other images, so that a mask fits it.
    """

    data: bytes | Callable[[], bytes]
    taken: bool = False
    sides: bool = True


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a small PNG with one more chunk before its pixels."""
    small = encode(GREY)
    return small[:33] + chunk(kind, body) + small[33:]


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(GREY, "PNG", exif=exif)


def animated(file_format: str, count: int = 2) -> bytes:
    frames = [Image.fromarray(RANDOM.integers(0, 256, SIDES, dtype=np.uint8)) for _ in range(count)]
    return encode(frames[0], file_format, save_all=True, append_images=frames[1:])


def many_frames(count: int) -> bytes:
    """Return a GIF of many tiny frames."""
    data = encode(Image.fromarray(GREY).convert("P"), "GIF")
    start = data.index(b",\0\0\0\0\x08\0\x08\0")
    return data[:-1] + data[start:-1] * count + b";"


def cyclic_tiff() -> bytes:
    """Return a TIFF whose first page is followed by itself."""
    data = bytearray(encode(GREY, "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    return bytes(data)


def huge_bmp() -> bytes:
    data = bytearray(encode(GREY, "BMP"))
    struct.pack_into("<ii", data, 18, 100_000, 100_000)
    return bytes(data)


def huge_gif() -> bytes:
    data = bytearray(encode(GREY, "GIF"))
    struct.pack_into("<HH", data, 6, 65535, 65535)
    return bytes(data)


def huge_jpeg() -> bytes:
    data = bytearray(encode(GREY, "JPEG"))
    place = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, 65535, 65535)
    return bytes(data)


def huge_tiff() -> bytes:
    data = bytearray(encode(GREY, "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<HHII", data, first + 2, 256, 4, 1, 1_000_000)
    struct.pack_into("<HHII", data, first + 14, 257, 4, 1, 1_000_000)
    return bytes(data)


def damaged(data: bytes, place: int, with_bytes: bytes = b"\xff\xff\xff\xff") -> bytes:
    return data[:place] + with_bytes + data[place + len(with_bytes) :]


def transparent() -> bytes:
    return encode(np.concatenate([COLOUR, GREY[..., None]], axis=-1))


def bomb(kind: bytes) -> bytes:
    """Return a PNG with a text or profile that unpacks to 200 MB."""
    packed = zlib.compress(bytes(200 * 2**20), 9)
    start = {b"zTXt": b"a\0\0", b"iCCP": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}[kind]
    return with_chunk(kind, start + packed)


def files() -> dict[str, File]:
    """Return each kind of file by its name."""
    png, jpeg = encode(GREY), encode(GREY, "JPEG")
    bad: dict[str, bytes | Callable[[], bytes]] = {
        "empty": b"",
        "one byte": b"\x89",
        "signature alone": png[:8],
        "header alone": png[:33],
        "truncated": png[:-30],
        "text": b"not an image",
        "pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>',
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n",
        "pdf": b"%PDF-1.4\n%%EOF\n",
        "icon": encode(GREY, "ICO"),
        "tga": encode(GREY, "TGA"),
        "random after a signature": png[:8] + RANDOM.bytes(500),
        "random": RANDOM.bytes(500),
        "zip": b"PK\x05\x06" + bytes(18),
        "bad header": damaged(png, 16),
        "bad check sum": damaged(png, 29),
        "bad pixels": damaged(png, 45),
        "no columns": huge_png(0, 8),
        "huge png": huge_png(40_000, 10_000),
        "huge bmp": huge_bmp(),
        "huge gif": huge_gif(),
        "huge jpeg": huge_jpeg(),
        "huge tiff": huge_tiff(),
        "huge ppm": b"P5 100000 100000 255\n",
        "negative ppm": b"P5 -8 8 255\n" + bytes(64),
        "endless ppm": b"P2 8 8 255\n#" + b"a" * 10**6,
        "16 bits": encode(WIDE + 1),
        "16 bits of colour": deep_png(2, 3),
        "16 bits in a tiff": deep_tiff(),
        "cmyk": encode(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
        "floats": encode(GREY.astype(np.float32), "TIFF"),
        "animated gif": animated("GIF"),
        "animated png": animated("PNG"),
        "animated webp": animated("WEBP"),
        "many frames": partial(many_frames, 200_000),
        "two pages": animated("TIFF"),
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "truncated webp": encode(GREY, "WEBP")[:40],
        "transparent": transparent(),
        "colour": encode(COLOUR),
        "bomb of text": partial(bomb, b"zTXt"),
        "bomb of international text": partial(bomb, b"iTXt"),
    }
    good = {
        "jpeg": jpeg,
        "bmp": encode(GREY, "BMP"),
        "gif": encode(GREY, "GIF"),
        "tiff": encode(GREY, "TIFF"),
        "cyclic tiff": cyclic_tiff(),  # its second page is the first
        "webp": encode(GREY, "WEBP", lossless=True),
        "ppm": encode(GREY, "PPM"),
        "rotated": rotated(),
        "palette": encode(Image.fromarray(GREY).convert("P")),
        "black and white": encode(Image.fromarray(GREY).convert("1")),
        "16 bits widened": encode(WIDE),
        "opaque": encode(Image.fromarray(GREY).convert("LA")),
    }
    other_sides: dict[str, bytes | Callable[[], bytes]] = {
        "one pixel": encode(GREY[:1, :1]),
        "a line": encode(np.zeros((1, 60_000), np.uint8)),
        "large": partial(encode, np.zeros((3000, 3000), np.uint8)),
    }
    return {
        **{name: File(data) for name, data in bad.items()},
        **{name: File(data, taken=True) for name, data in good.items()},
        **{name: File(data, taken=True, sides=False) for name, data in other_sides.items()},
    }


def pixels(data: bytes) -> Any:
    """Return the grey values of an image, read by Pillow alone."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I"):
            return (np.asarray(image).astype(int) // 257).astype(np.uint8)
        turned = {6: Image.Transpose.ROTATE_270}.get(image.getexif().get(0x0112, 1))
        upright = image if turned is None else image.transpose(turned)
        return np.asarray(upright.convert("RGB").convert("L"))
