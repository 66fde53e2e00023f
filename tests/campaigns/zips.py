"""Damaged and hostile zip files: what is done to a good one, and whether it can be used all the same."""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaigns.images import GREY
from tests.makers import encode


def special(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what replaces the zip file itself."""

    def damage(root: Path) -> None:
        root.unlink()
        make(root)

    return damage


def add(name: str, data: bytes = b"", mode: int = 0, **options: Any) -> Callable[[Path], object]:
    """Return what adds an entry to a zip file."""

    def damage(root: Path) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        with zipfile.ZipFile(root, "a") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about duplicates
            file.writestr(entry, data, **options)

    return damage


def patched(before: bytes, after: bytes, *, last: bool = False) -> Callable[[Path], object]:
    """Return what replaces bytes of a zip file: everywhere, or where they stand last."""

    def damage(root: Path) -> None:
        data = root.read_bytes()
        assert before in data, before
        if last:
            head, _, tail = data.rpartition(before)
            root.write_bytes(head + after + tail)
        else:
            root.write_bytes(data.replace(before, after))

    return damage


def lying(declared: int, *, real: int) -> Callable[[Path], object]:
    """Return what adds an image of zeros that says it has another size."""

    def damage(root: Path) -> None:
        add("train/cat/zeros.png", bytes(real), compress_type=zipfile.ZIP_DEFLATED)(root)
        add("train/images/zeros.png", bytes(real), compress_type=zipfile.ZIP_DEFLATED)(root)
        patched(struct.pack("<I", real), struct.pack("<I", declared))(root)

    return damage


def encrypted(root: Path) -> None:
    data = bytearray(root.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(signature)
        while start >= 0:
            data[start + place] |= 1
            start = data.find(signature, start + 4)
    root.write_bytes(bytes(data))


def method(number: int) -> Callable[[Path], object]:
    """Return what makes all entries say that they are compressed by another method."""

    def damage(root: Path) -> None:
        data = root.read_bytes()
        for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            parts = data.split(signature)
            ends = [part[: place - 4] + struct.pack("<H", number) + part[place - 2 :] for part in parts[1:]]
            data = signature.join([parts[0], *ends])
        root.write_bytes(data)

    return damage


def crowd(root: Path) -> None:
    with zipfile.ZipFile(root, "a") as file:
        for number in range(100_000):
            file.writestr(f"more/{number}.txt", b"")


ZIPS: list[tuple[str, Callable[[Path], object], bool]] = [
    ("entry above the archive", add("../../train/cat/x.png", encode(GREY)), False),
    ("entry at the root of the disk", add("/etc/cron.d/x.png", encode(GREY)), False),
    ("entry with backslashes", add("train\\cat\\x.png", encode(GREY)), False),
    ("entry that is a link", add("train/cat/x.png", b"/etc/passwd", stat.S_IFLNK | 0o777), False),
    ("entry that is a pipe", add("train/cat/x.png", b"", stat.S_IFIFO | 0o666), False),
    ("entry that is a folder", add("train/cat/sub/"), True),
    ("two entries of a name", lambda root: [add("train/x.txt")(root) for _ in range(2)], False),
    ("entry without a name", add(""), True),
    ("zip in a zip", add("train/cat/x.png", b"PK\x05\x06" + bytes(18)), False),
    ("encrypted", encrypted, False),
    ("larger than it says", lying(100, real=50 * 2**20), False),
    ("smaller than it says", lying(2**20, real=1000), False),
    ("says 3 GB", lying(3 * 2**30, real=1000), False),
    ("says 4 GB", lying(2**32 - 2, real=1000), False),
    ("300 MB of zeros", lying(300 * 2**20, real=300 * 2**20), False),
    ("unknown compression", method(99), False),
    ("bzip2 that is none", method(12), False),
    ("lzma that is none", method(14), False),
    ("deflate that is none", method(8), False),
    ("100,000 entries", crowd, True),
    ("truncated", lambda root: os.truncate(root, root.stat().st_size - 30), False),
    ("half", lambda root: os.truncate(root, root.stat().st_size // 2), False),
    ("end of the directory garbled", patched(b"PK\x05\x06", b"PK\x05\x07"), False),
    ("entry of the directory garbled", patched(b"PK\x01\x02", b"PK\x01\x03", last=True), False),
    ("header of a file garbled", patched(b"PK\x03\x04", b"PK\x03\x05", last=True), False),
    ("other name in the header", patched(b"train", b"trail", last=True), False),
    ("name that is not UTF-8", patched(b"002.png", b"\xff\xfe\xfd.png", last=True), False),
    ("nothing before it is a zip", lambda root: root.write_bytes(b"junk" * 999 + root.read_bytes()), True),
    ("empty file", special(Path.touch), False),
    ("empty zip", special(lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18))), False),
    ("text", special(lambda path: path.write_text("not a zip")), False),
    ("pipe as the zip", special(os.mkfifo), False),
    ("device as the zip", special(lambda path: path.symlink_to("/dev/zero")), False),
    ("broken link as the zip", special(lambda path: path.symlink_to("nowhere")), False),
    ("loop of links as the zip", special(lambda path: path.symlink_to(path.name)), False),
]  # fmt: skip
