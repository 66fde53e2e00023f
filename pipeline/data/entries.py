"""The entries of an archive: which of them are files, and what is refused about their names and sizes."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO

from pipeline.errors import ConfigError

OF_SYSTEMS = frozenset(("__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"))
MEANT = frozenset(("train", "val", "test", "images", "masks"))  # folders that formats know
HIDDEN = "hidden, or made by the system"  # why an entry is passed over
CHUNK = 1 << 20  # bytes
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def restore(root: Path) -> str:
    """Return the command that restores a bundled archive or makes one again, or advice for a user's own archive."""
    if root.parts[:1] == ("built",) and len(root.parts) > 1:
        built = Path(*root.parts[:2])  # of which it may be a file
        return f"make it with `python -m pipeline.data.bundled {built.stem} {built.as_posix()}`"
    if root.parts[:1] == ("data",):
        return "restore it with `git checkout data.dvc && dvc pull --force --remote store data.dvc`"
    return "restore an intact copy, or point data.root to one"


def is_regular(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of a folder is a file, or a link that leads to one."""
    try:
        return entry.is_file()
    except OSError:  # a loop of links
        return False


def no_regular_file(root: Path, name: str) -> ConfigError:
    """Return the error for what cannot be read as a file, such as a pipe or a broken link."""
    return ConfigError(
        "data.root",
        f"{root} has something that is neither a file, nor a folder, nor a link to a file",
        got=name,
        hint="remove it, or put the files there to which it leads",
    )


def check_name(root: Path, name: str) -> None:
    """Raise if a name could not be written to the manifest, or would garble a terminal."""
    if CONTROL.search(name):
        raise ConfigError(
            "data.root",
            f"{root} has a file whose name has control characters or is not valid UTF-8",
            got=name,
            hint="rename it",
        )


def check_size(name: str, size: int, most: int | None) -> None:
    """Raise if a file has more bytes than `most`; None for any size."""
    if most is not None and size > most:
        raise ConfigError(
            name,
            f"has {size:,} bytes, more than data.max_file_bytes={most}",
            hint="remove it, or raise data.max_file_bytes",
        )


@contextmanager
def reading(root: Path, name: str) -> Iterator[None]:
    """Convert an error of the operating system on reading a file or folder of an archive to a `ConfigError`."""
    try:
        yield
    except OSError as reason:
        raise ConfigError(str(root), f"cannot read {name} ({reason.strerror})", hint=restore(root)) from None


def hash_file(file: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of a file."""
    return hash_chunks(iter(lambda: file.read(CHUNK), b""))


def hash_chunks(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of the bytes of all chunks."""
    whole = hashlib.sha256()
    for chunk in chunks:
        whole.update(chunk)
    return whole.hexdigest()


def is_visible(parts: tuple[str, ...]) -> bool:
    """Return whether no part of a name is hidden, as by a leading dot, or made by a system beside the files."""
    return not any(part.startswith(".") or part in OF_SYSTEMS for part in parts)


def normalize(name: str) -> str:
    """Return a name in Unicode form NFC, as macOS decomposes letters with accents and others do not."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def check_unique(root: Path, names: Sequence[str]) -> None:
    """Check that sorted names differ.

    Raises:
        ConfigError: two are the same.
    """
    for name, following in pairwise(names):
        if name == following:
            raise ConfigError(
                "data.root",
                f"{root} has two files of the same name",
                got=name,
                hint="make the archive again without one of them",
            )


def find_top(names: Sequence[str]) -> str:
    """Return the folder, with a slash, that all files lie in and that holds folders; empty if there is none.

    Folders of splits, images and masks have a meaning of their own and are none.
    """
    if not names:
        return ""
    top, depth = "", max(name.count("/") for name in names)
    first, last = min(names).split("/")[:-1], max(names).split("/")[:-1]
    for level, (folder, other) in enumerate(zip(first, last, strict=False)):
        if folder != other or folder in MEANT or depth - level < 2:
            break
        top += f"{folder}/"
    return top
