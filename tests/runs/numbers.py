"""A small result for tests of the cache: numbers, and letters in a folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.storage.sealed import DIGESTS


def write_numbers(folder: Path) -> None:
    (folder / "numbers.txt").write_text("1 2 3")
    (folder / "more").mkdir()
    (folder / "more" / "letters.txt").write_text("a b c")


def refuse(folder: Path) -> None:
    raise AssertionError(f"made again in {folder}")


def tree(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != DIGESTS)
    return {str(file.relative_to(folder)): file.read_text() for file in files}


WRITTEN = {"numbers.txt": "1 2 3", "more/letters.txt": "a b c", "key": "abc"}
