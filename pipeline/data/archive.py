"""An archive of images, a folder or a zip file behind one interface; and its digest.

The digest of a zip file is the SHA-256 of its bytes; that of a folder is the SHA-256 of the sorted names and digests of
its files.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pipeline.errors import ConfigError
from pipeline.files import file_state, memoize_by_mtime

CHUNK = 1 << 20  # bytes


class Archive(Protocol):
    """Names and bytes of the files in a folder or zip; safe to read from several threads."""

    root: Path

    def names(self) -> list[str]:
        """Return the names of all files, with slashes, sorted; hidden files are left out."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        ...


class Folder:
    """An archive that is a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the names of all files, with slashes, sorted; hidden files are left out."""
        files = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in files if _is_visible(path.parts))

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        return (self.root / name).read_bytes()


class Zip:
    """An archive that is a zip file."""

    def __init__(self, root: Path, file: zipfile.ZipFile) -> None:
        self.root = root
        self._file = file

    def names(self) -> list[str]:
        """Return the names of all files, with slashes, sorted; hidden files are left out."""
        names = (info.filename for info in self._file.infolist() if not info.is_dir())
        return sorted(name for name in names if _is_visible(tuple(name.split("/"))))

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        try:
            return self._file.read(name)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as reason:
            raise ConfigError(
                str(self.root), f"cannot read {name} ({reason})", hint=restore(self.root)
            ) from None


@contextmanager
def opened(root: Path) -> Iterator[Archive]:
    """Open a folder or zip.

    Raises:
        ConfigError: it is missing, or neither a folder nor a complete zip.
    """
    if root.is_dir():
        yield Folder(root)
        return
    _refuse_missing(root)
    try:
        file = zipfile.ZipFile(root)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as reason:
        raise ConfigError(
            "data.root", f"not a complete zip archive ({reason})", got=str(root), hint=restore(root)
        ) from None
    with file:
        yield Zip(root, file)


def archive_digest(root: Path, *, memory: Path) -> str:
    """Return the digest of a folder or zip, `sha256:...`.

    Args:
        memory: a JSON file that caches digests by path, size and modification time, so that large archives are read
            only once.

    Raises:
        ConfigError: it is missing.
    """
    if not root.is_dir():
        _refuse_missing(root)
    wanted = (str(root.resolve()), _state(root), lambda: f"sha256:{_hash_of(root)}")
    return memoize_by_mtime(memory, [wanted])[0]


def restore(root: Path) -> str:
    """Return the command that restores a bundled archive, or advice for a user's own archive."""
    if root.parts[:1] == ("data",):
        return "restore it with `git checkout data.dvc && dvc pull --force data.dvc`"
    return "restore an intact copy, or point data.root to one"


def _refuse_missing(root: Path) -> None:
    if not root.exists():
        raise ConfigError("data.root", "no such file or folder", got=str(root), hint=restore(root))


def _hash_of(root: Path) -> str:
    if not root.is_dir():
        return _file_hash(root)
    whole = hashlib.sha256()
    for name in Folder(root).names():
        whole.update(f"{name}\0{_file_hash(root / name)}\n".encode())
    return whole.hexdigest()


def _file_hash(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            whole.update(chunk)
    return whole.hexdigest()


def _state(root: Path) -> str:
    if not root.is_dir():
        return file_state(root)
    stamps = [f"{name} {file_state(root / name)}" for name in Folder(root).names()]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def _is_visible(parts: tuple[str, ...]) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)
