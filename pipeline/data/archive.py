"""An archive of images, a folder or a zip file behind one interface; and its digest.

The digest of a folder or zip is the SHA-256 of the sorted names and digests of the files in it, so that the same files
are the same data in either; that of another file, such as a table, is the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pipeline.data.entries import (
    HIDDEN,
    check_name,
    check_size,
    check_unique,
    find_top,
    hash_chunks,
    hash_file,
    is_visible,
    no_regular_file,
    normalize,
    reading,
    restore,
)
from pipeline.data.folder import Folder
from pipeline.data.threads import in_order
from pipeline.data.zip_directory import METHODS, Entry, ZipDirectory
from pipeline.data.zip_names import read_name
from pipeline.errors import ConfigError
from pipeline.storage.memo import file_state, memoize_by_mtime

PIECE = 64  # files per work item of a thread
WHAT = "names and contents"  # that digests cover; other ones that were remembered are computed again
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError)  # what reading a damaged file of a zip raises


class Archive(Protocol):
    """Names and bytes of the files in a folder or zip; safe to read from several threads.

    Args:
        root: the folder or zip.
        skipped: how many entries `names` has left out, by reason.
    """

    root: Path
    skipped: Counter[str]

    def names(self) -> list[str]:
        """Return the names of all files, with slashes, in Unicode form NFC, sorted; hidden files are left out."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        ...


class Zip:
    """An archive that is a zip file.

    Args:
        max_bytes: size of the largest file that may be read, uncompressed; None for any size.
    """

    def __init__(self, root: Path, file: IO[bytes], max_bytes: int | None = None) -> None:
        self.root = root
        self.skipped: Counter[str] = Counter()
        self._directory = ZipDirectory(file)
        self._max_bytes = max_bytes
        self._names: list[str] | None = None  # once they have been listed
        self._places = array("Q")  # of the entry of each name

    def names(self) -> list[str]:
        """Return the names of all files, with slashes, in Unicode form NFC, sorted; hidden files are left out.

        A folder around all files is left out of their names, unless it is one of splits, images or masks.

        Raises:
            ConfigError: the directory is damaged, a name leads out of the archive, is in an unknown encoding or stands
                there twice, or an entry is no regular file.
        """
        if self._names is None:
            try:
                self._names, self._places = self._list()
            except zipfile.BadZipFile as reason:
                raise _incomplete(self.root, reason) from None
            check_unique(self.root, self._names)
        return self._names

    def _list(self) -> tuple[list[str], array[int]]:
        names, places = [], array("Q")
        for entry in self._directory.entries():
            name = read_name(entry, self.root)
            if name.endswith("/"):
                continue
            if not is_visible(tuple(name.split("/"))):
                self.skipped[HIDDEN] += 1
                continue
            check_name(self.root, name)
            if stat.S_IFMT(entry.mode) not in (0, stat.S_IFREG):  # 0 if made on Windows
                raise no_regular_file(self.root, name)
            names.append(normalize(name))
            places.append(entry.place)
        top = find_top(names)
        order = sorted(range(len(names)), key=names.__getitem__)
        return [names[index][len(top) :] for index in order], array("Q", map(places.__getitem__, order))

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            ConfigError: it cannot be read, or is too large.
        """
        entry = self._find(name)
        check_size(name, entry.size, self._max_bytes)
        with self._reading(name):
            return b"".join(self._directory.chunks(entry))

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file.

        Raises:
            ConfigError: it cannot be read.
        """
        entry = self._find(name)
        with self._reading(name):
            return hash_chunks(self._directory.chunks(entry))

    def _find(self, name: str) -> Entry:
        names = self.names()
        index = bisect_left(names, name)
        if index == len(names) or names[index] != name:
            raise KeyError(name)
        entry = self._directory.entry(self._places[index])
        if entry.method not in METHODS:
            raise ConfigError(
                str(self.root),
                f"cannot read {name} (compressed by another method than deflate)",
                hint="make the archive again by deflate, which zip uses by default",
            )
        return entry

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Convert what reading a damaged file raises to a `ConfigError`."""
        try:
            yield
        except UNREADABLE as reason:
            raise ConfigError(
                str(self.root), f"cannot read {name} ({reason})", hint=restore(self.root)
            ) from None


@contextmanager
def opened(root: Path, *, max_bytes: int | None = None) -> Iterator[Folder | Zip]:
    """Open a folder or zip.

    Args:
        max_bytes: size of the largest file that may be read; None for any size.

    Raises:
        ConfigError: it is missing, or neither a folder nor a complete zip.
    """
    if _is_folder(root):
        yield Folder(root, max_bytes)
        return
    with reading(root, "the file"):
        file = root.open("rb")
    with file:
        try:
            archive = Zip(root, file, max_bytes)
        except zipfile.BadZipFile as reason:
            raise _incomplete(root, reason) from None
        yield archive


def archive_digest(root: Path, *, memory: Path) -> str:
    """Return the digest of a folder or zip, `sha256:...`.

    Args:
        memory: a JSON file that caches digests by path, size and modification time, so that large archives are read
            only once.

    Raises:
        ConfigError: it is missing.
    """
    is_folder = _is_folder(root)
    state = _folder_state(root) if is_folder else file_state(root)
    wanted = (str(root.resolve()), f"{state} {WHAT}", lambda: f"sha256:{_hash_of(root)}")
    return memoize_by_mtime(memory, [wanted])[0]


def _incomplete(root: Path, reason: zipfile.BadZipFile) -> ConfigError:
    return ConfigError(
        "data.root", f"not a complete zip archive ({reason})", got=str(root), hint=restore(root)
    )


def _is_folder(root: Path) -> bool:
    """Return whether an archive is a folder, and not a file.

    Raises:
        ConfigError: it is missing, or is something else, such as a device or a pipe.
    """
    try:
        mode = root.stat().st_mode
    except FileNotFoundError:
        raise ConfigError("data.root", "no such file or folder", got=str(root), hint=restore(root)) from None
    except OSError as reason:
        raise ConfigError(
            "data.root", f"cannot be read ({reason.strerror})", got=str(root), hint=restore(root)
        ) from None
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise ConfigError("data.root", got=str(root), allowed="a folder or a zip file")
    return stat.S_ISDIR(mode)


def _hash_of(root: Path) -> str:
    if not root.is_dir() and not zipfile.is_zipfile(root):
        with reading(root, "the file"), root.open("rb") as file:
            return hash_file(file)
    whole = hashlib.sha256()
    with opened(root) as archive:
        names = archive.names()
        digests = in_order(archive.digest, names, piece=PIECE)
        for name, digest in zip(names, digests, strict=True):
            whole.update(f"{name}\0{digest}\n".encode())
    return whole.hexdigest()


def _folder_state(root: Path) -> str:
    stamps, folder = [], Folder(root)
    for name in folder.names():
        with reading(root, name):
            stamps.append(f"{name} {file_state(folder.path(name))}")
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()
