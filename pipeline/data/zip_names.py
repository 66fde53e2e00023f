"""Names in zip files that were made on other systems: their encoding, and their separators."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from pipeline.data.zip_directory import Entry
from pipeline.errors import ConfigError

IS_UTF8 = 0x800  # bit of an entry's flags
UNICODE_PATH = 0x7075  # extra field of Info-ZIP: version 1, CRC-32 of the name as stored, the name in UTF-8
OF_WINDOWS = (0, 10, 11, 14)  # systems of entries: FAT, NTFS and VFAT, whose names cannot hold a backslash


def read_name(entry: Entry, root: Path) -> str:
    """Return the name of an entry, with slashes between its parts.

    A name without the flag of UTF-8 is in the encoding of the computer that packed it, which the file does not tell. It
    is taken from the Unicode field of Info-ZIP, or read as UTF-8 where it is valid UTF-8, as macOS writes it.

    Raises:
        ConfigError: the encoding cannot be told, the name leads out of the archive, or has backslashes that may be
            separators or not.
    """
    name = entry.name.decode("ascii") if entry.name.isascii() else _decode(entry, root)
    if "\\" in name:
        if entry.system not in OF_WINDOWS:
            raise ConfigError(
                "data.root",
                f"{root} has a name with a backslash",
                got=name,
                hint="make the archive again, with slashes between folders",
            )
        name = name.replace("\\", "/")
    if ".." in name.split("/") or name.startswith("/") or re.match("[A-Za-z]:/", name):
        raise ConfigError(
            "data.root",
            f"{root} has a name that leads out of the archive",
            got=name,
            hint="make the archive again, with names relative to its top",
        )
    return name


def _decode(entry: Entry, root: Path) -> str:
    stored = entry.name
    field = None if entry.flags & IS_UTF8 else _read_unicode_field(entry.extra, stored)
    try:
        return (field or stored).decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(
            "data.root",
            f"{root} has a name in an encoding that it does not tell",
            got=stored,
            hint=f"unpack it in that encoding, as by `unzip -O cp850 {root.name}`, and name the folder; or make it "
            "again with names in UTF-8",
        ) from None


def _read_unicode_field(extra: bytes, stored: bytes) -> bytes | None:
    """Return the name in the Unicode field of Info-ZIP; None if there is none, or it belongs to another name."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        body, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(body) > 5 and body[0] == 1:
            (checked,) = struct.unpack_from("<I", body, 1)
            if checked == zlib.crc32(stored):
                return body[5:]
    return None
