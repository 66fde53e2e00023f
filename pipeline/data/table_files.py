"""Tables of labels and the files that their rows name: where a table lies, and how its names are understood."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from posixpath import dirname, normpath, splitext

from pipeline.data.archive import Archive
from pipeline.data.entries import check_size, reading
from pipeline.data.facts import Facts
from pipeline.data.sources import is_image
from pipeline.data.tables import is_table
from pipeline.errors import ConfigError


def find_outside_table(facts: Facts) -> Path | None:
    """Return the path of a table that lies outside of the archive; None if there is none.

    It begins with `../`, and is relative to the archive as if that were a folder, so that both can be moved together;
    or it is absolute.

    Raises:
        ConfigError: it is missing.
    """
    if facts.table is None or not facts.table.startswith(("../", "/")):
        return None
    path = Path(os.path.normpath(Path(facts.root) / facts.table))
    if not path.is_file():
        hint = "name a CSV file in data.root, or ../<file> for one beside it"
        raise ConfigError("data.table", f"there is no file {path}", got=facts.table, hint=hint)
    return path


def has_table_file(archive: Archive, facts: Facts) -> bool:
    """Return whether the archive has the table of a data set."""
    return facts.table in set(archive.names())


def read_table_file(archive: Archive, facts: Facts) -> bytes:
    """Return the contents of the table of a data set, in its archive or outside.

    Raises:
        ConfigError: it is missing, cannot be read, or is too large.
    """
    assert facts.table is not None
    path = find_outside_table(facts)
    if path is not None:
        with reading(path.parent, path.name):
            check_size(str(path), path.stat().st_size, facts.max_file_bytes)
            return path.read_bytes()
    if facts.table not in set(archive.names()):
        suffix = facts.table.rpartition(".")[2]
        tables = [name for name in archive.names() if is_table(name) or name.endswith(f".{suffix}")][:20]
        raise ConfigError.unknown("data.table", facts.table, tables, what=f"file in {archive.root}:")
    return archive.read(facts.table)


def find_files(cells: Sequence[str], table: str, names: Set[str], *, by_end: bool = True) -> list[str]:
    """Return the file in the archive that each cell names; where there is none, the name that was looked for.

    Names are relative to the folder of the table; to the top of the archive, if the table lies outside. If no cell
    names a file like that, each is the end of a name, with its suffix or without: `a7`, `x/a7` and `x/a7.png` for
    `set/x/a7.png`, if no other name ends like that.

    Args:
        table: its name in the archive, or its path if it lies outside.
        names: of all files in the archive.
        by_end: whether to take ends of names.
    """
    folder = "" if table.startswith(("../", "/")) else dirname(table)
    files = [normpath(f"{folder}/{cell}" if folder else cell) if cell else "" for cell in cells]
    if not by_end or any(file in names for file in files):
        return files
    ends = _index_ends(filter(is_image, names), {cell.count("/") for cell in cells})
    return [ends.get(cell) or file for cell, file in zip(cells, files, strict=True)]


def _index_ends(names: Iterable[str], depths: set[int]) -> Mapping[str, str | None]:
    """Return end of a name -> name, or None where several end like that."""
    found: dict[str, str | None] = {}
    for name in names:
        parts = name.split("/")
        for depth in depths:
            end = "/".join(parts[-depth - 1 :])
            for each in {end, splitext(end)[0]}:
                found[each] = name if found.get(each, name) == name else None
    return found
