"""An archive that is a folder: links to files are followed, as are links to folders that stay inside."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.data.entries import (
    HIDDEN,
    check_name,
    check_size,
    check_unique,
    hash_file,
    is_regular,
    is_visible,
    no_regular_file,
    normalize,
    reading,
)
from pipeline.errors import ConfigError


class Folder:
    """An archive that is a folder.

    Args:
        max_bytes: size of the largest file that may be read; None for any size.
    """

    def __init__(self, root: Path, max_bytes: int | None = None) -> None:
        self.root = root
        self.skipped: Counter[str] = Counter()
        self._max_bytes = max_bytes
        self._spelled: dict[str, str] = {}  # names that the disk spells in another Unicode form

    def names(self) -> list[str]:
        """Return the names of all files, with slashes, in Unicode form NFC, sorted; hidden files are left out.

        Raises:
            ConfigError: there is something else than files, folders and links to files or to folders inside, or a
                folder cannot be read.
        """
        found: list[str] = []
        self.skipped.clear()
        self._spelled.clear()
        top = os.path.realpath(self.root)
        folders: list[tuple[str, tuple[str, ...]]] = [
            ("", (top,))
        ]  # prefix of names, and the real paths of the folder and of those around it
        while folders:
            prefix, around = folders.pop()
            for entry in self._entries(prefix):
                name = f"{prefix}{entry.name}"
                check_name(self.root, name)
                if entry.is_dir(follow_symlinks=False):
                    folders.append((f"{name}/", (*around, os.path.join(around[-1], entry.name))))  # noqa: PTH118
                elif entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112
                    folders.append((f"{name}/", (*around, self._follow(entry, name, top, around))))
                elif is_regular(entry):
                    found.append(self._normalize(name))
                else:
                    raise no_regular_file(self.root, name)
        found.sort()
        check_unique(self.root, found)
        return found

    def path(self, name: str) -> Path:
        """Return the path of a file."""
        return self.root / self._spelled.get(name, name)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            ConfigError: it cannot be read, or is too large.
        """
        path = self.path(name)
        with reading(self.root, name):
            check_size(name, path.stat().st_size, self._max_bytes)
            return path.read_bytes()

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file.

        Raises:
            ConfigError: it cannot be read.
        """
        with reading(self.root, name), self.path(name).open("rb") as file:
            return hash_file(file)

    def _normalize(self, name: str) -> str:
        normal = normalize(name)
        if normal != name:
            self._spelled[normal] = name
        return normal

    def _entries(self, prefix: str) -> Iterator[os.DirEntry[str]]:
        """Yield the visible entries of a folder, and count the others."""
        with reading(self.root, prefix or "the folder"), os.scandir(self.root / prefix) as entries:
            every = list(entries)
        visible = [entry for entry in every if is_visible((entry.name,))]
        self.skipped[HIDDEN] += len(every) - len(visible)
        yield from visible

    def _follow(self, entry: os.DirEntry[str], name: str, top: str, around: tuple[str, ...]) -> str:
        """Return the real path of the folder that a link leads to.

        Raises:
            ConfigError: it leads out of the archive, or to a folder around itself.
        """
        target = os.path.realpath(entry.path)
        if target in around:
            problem, hint = "a link to a folder that it lies in", "remove it"
        elif not target.startswith(f"{top}{os.sep}"):
            problem = "a link to a folder outside"
            hint = "put the files there to which it leads, or set data.root to them"
        else:
            return target
        raise ConfigError("data.root", f"{self.root} has {problem}", got=name, hint=hint)
