"""The directory of a zip file and the bytes of its files, without an object in memory for each of them.

`zipfile` keeps 500 bytes of each file, half a gigabyte for a million. Here an entry is known by its place in the file,
and is read from there when it is needed. Several threads may read at once.
Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16 and 4.5.3.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile

METHODS = (ZIP_STORED, ZIP_DEFLATED)  # others take more memory than the size of their contents
HEADER = struct.Struct("<4s5H3I2H")  # of a file, before its name
ENTRY = struct.Struct("<4s4B4H3I5H2I")  # of the directory, before its name
END = struct.Struct("<4s4H2IH")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR_64 = struct.Struct("<4sIQI")
MOST_COMMENT = 0xFFFF  # bytes behind the end of the directory
IS_64 = 0xFFFFFFFF  # what stands for a number that is in the field of ZIP64
FIELD_64 = 0x0001
IS_ENCRYPTED = 0x1  # bit of flags
CHUNK = 1 << 20  # bytes
BUFFER = (
    1 << 16
)  # bytes of the directory that are read at once; no entry without a comment is longer than three


class Entry(NamedTuple):
    """What the directory says of a file.

    Args:
        place: of this entry in the zip file.
        name: as it is stored.
        system: that wrote it.
        size: of the file.
        packed: its bytes in the zip file.
        offset: where its header starts.
        mode: kind of file and its rights; 0 if made on Windows.
    """

    place: int
    name: bytes
    extra: bytes
    system: int
    flags: int
    method: int
    crc: int
    size: int
    packed: int
    offset: int
    mode: int


class ZipDirectory:
    """The entries of a zip file, and their contents.

    Args:
        file: a zip file, opened for reading.

    Raises:
        BadZipFile: it is none, or not complete.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        end, size, start = self._find_end()
        self._start, self._end = end - size, end
        self._shift = self._start - start  # of all offsets, if something stands before the zip
        if self._start < 0 or self._shift < 0:
            raise BadZipFile("its directory does not lie where its end says")

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in their order.

        Raises:
            BadZipFile: one is damaged.
        """
        place, data, start = self._start, b"", self._start
        while place < self._end:
            if place + 3 * BUFFER > start + len(data):
                start, data = place, self._read(place, 16 * BUFFER)
            entry, length = self._parse(data, place - start, place)
            yield entry
            place += length

    def entry(self, place: int) -> Entry:
        """Return the entry at a place."""
        data = self._read(place, 512)
        lengths = struct.unpack_from("<2H", data, 28)
        if ENTRY.size + sum(lengths) > len(data):
            data = self._read(place, ENTRY.size + sum(lengths))
        return self._parse(data, 0, place)[0]

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield the contents of a file, never more bytes than its entry says.

        Args:
            entry: of a file that is compressed by one of `METHODS`.

        Raises:
            BadZipFile: they are not those of the entry, or are encrypted.
            zlib.error: they cannot be decompressed.
        """
        left, crc = entry.size, 0
        for chunk in self._unpacked(entry):
            left -= len(chunk)
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if left:
            raise BadZipFile(f"{left:,} bytes are missing at its end")
        if crc != entry.crc:
            raise BadZipFile("its CRC-32 is another")

    def _unpacked(self, entry: Entry) -> Iterator[bytes]:
        place, end, left = self._find_contents(entry), 0, entry.size
        end = place + entry.packed
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        while place < end and left:
            data = self._read(place, min(CHUNK, end - place))
            if not data:
                raise BadZipFile("the zip file ends inside")
            place += len(data)
            while data and left:
                if entry.method == ZIP_STORED:
                    chunk, data = data[:left], b""
                else:
                    chunk = unpacker.decompress(data, min(CHUNK, left))
                    data = unpacker.unconsumed_tail
                left -= len(chunk)
                yield chunk

    def _find_contents(self, entry: Entry) -> int:
        """Return where the contents of a file start."""
        data = self._read(entry.offset, HEADER.size + len(entry.name))
        if len(data) < HEADER.size or not data.startswith(b"PK\3\4"):
            raise BadZipFile("no header is where the directory says")
        if data[HEADER.size :] != entry.name:
            raise BadZipFile("its header has another name than the directory")
        if entry.flags & IS_ENCRYPTED:
            raise BadZipFile("it is encrypted")
        assert entry.method in METHODS
        name_length, extra_length = struct.unpack_from("<2H", data, 26)
        return entry.offset + HEADER.size + int(name_length) + int(extra_length)

    def _parse(self, data: bytes, start: int, place: int) -> tuple[Entry, int]:
        """Return the entry that starts at `start`, and its length."""
        if len(data) - start < ENTRY.size:
            raise BadZipFile("its directory ends early")
        fields = ENTRY.unpack_from(data, start)
        if fields[0] != b"PK\1\2":
            raise BadZipFile("its directory has an entry that is none")
        system, flags, method = fields[2], fields[5], fields[6]
        crc, packed, size, name_length, extra_length, comment_length = fields[9:15]
        attributes, offset = fields[17], fields[18]
        middle = start + ENTRY.size + name_length
        name, extra = data[start + ENTRY.size : middle], data[middle : middle + extra_length]
        if IS_64 in (size, packed, offset):
            size, packed, offset = _read_64(extra, size, packed, offset)
        entry = Entry(
            place,
            name,
            extra,
            system,
            flags,
            method,
            crc,
            size,
            packed,
            offset + self._shift,
            attributes >> 16,
        )
        return entry, ENTRY.size + name_length + extra_length + comment_length

    def _find_end(self) -> tuple[int, int, int]:
        """Return where the directory ends, its size, and where it starts as the file says."""
        length = os.fstat(self._file.fileno()).st_size
        first = max(0, length - END.size - MOST_COMMENT)
        data = self._read(first, length - first)
        found = len(data) - END.size  # where it is without a comment
        if not (data[found:].startswith(b"PK\5\6") and data.endswith(b"\0\0")):
            found = data.rfind(b"PK\5\6")
        if found < 0 or len(data) - found < END.size:
            raise BadZipFile("it has no end of a zip file")
        size, start = END.unpack_from(data, found)[5:7]
        return self._find_end_64(first + found) or (first + found, size, start)

    def _find_end_64(self, end: int) -> tuple[int, int, int] | None:
        """Return the same for ZIP64, whose end stands before the other; None if the file is none."""
        place = end - LOCATOR_64.size - END_64.size
        data = self._read(place, END_64.size + LOCATOR_64.size) if place >= 0 else b""
        if not (data.startswith(b"PK\6\6") and data[END_64.size :].startswith(b"PK\6\7")):
            return None
        size, start = END_64.unpack_from(data)[8:10]
        return place, size, start

    def _read(self, place: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, place)


def _read_64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Return sizes and offset, those that the entry has no room for from the field of ZIP64."""
    numbers: list[int] = []
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == FIELD_64:
            numbers = [each for (each,) in struct.iter_unpack("<Q", extra[4 : 4 + length // 8 * 8])]
        extra = extra[4 + length :]
    found = []
    for number in (size, packed, offset):
        if number == IS_64 and not numbers:
            raise BadZipFile("its directory has an entry without its size")
        found.append(numbers.pop(0) if number == IS_64 else number)
    return found[0], found[1], found[2]
