"""Rows of tables that name images: their cells, what is wrong with them, and the samples that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.sources import Sample, Target, read_split
from pipeline.data.splits import find_group, split_by_name
from pipeline.data.table_files import read_table_file
from pipeline.data.tables import RowErrors, Table, has_header, read_table
from pipeline.errors import ConfigError

ONE_ROW = "keep one row of each file"


def open_table(archive: Archive, facts: Facts) -> Table:
    """Read the table of a data set.

    Raises:
        ConfigError: it is missing, or no table.
    """
    assert facts.table is not None
    return read_table(
        read_table_file(archive, facts),
        facts.table,
        has_header=has_header(facts.columns or {}),
        max_bytes=facts.max_file_bytes,
        separator=facts.separator,
    )


def read_cells(table: Table, facts: Facts) -> dict[str, list[str]]:
    """Return the cells of each row, by what `data.columns` says that their column holds; lists of columns left out.

    Raises:
        ConfigError: the table has no such column.
    """
    return {
        key: [row[index] for row in table.rows]
        for key, column in (facts.columns or {}).items()
        if not isinstance(column, list)
        for index in [table.find(column, path=f"data.columns.{key}")]
    }


def check_group_column(cells: Mapping[str, Sequence[str]], facts: Facts) -> None:
    """Check that groups are declared once, by a column or by an expression.

    Raises:
        ConfigError: they are declared twice.
    """
    if "group" in cells and facts.groups is not None:
        hint = "remove one of them"
        raise ConfigError("data.groups", "is not used beside data.columns.group", got=facts.groups, hint=hint)


def note_files(errors: RowErrors, files: Sequence[str], archive: Archive) -> None:
    """Note the rows that name no file, one outside of the table's folder, or one that is missing."""
    path, known = "data.columns.file", set(archive.names())
    errors.note(path, files, (name == "" for name in files), "name no file")
    outside = (name.startswith(("/", "../")) or name == ".." for name in files)
    errors.note(
        path, files, outside, "name a file outside the folder of the table", way="write relative paths"
    )
    missing = (name not in known for name in files)
    problem = f"name a file that {archive.root} does not have"
    errors.note(path, files, missing, problem, way="add it, or remove the row")


def note_repeated(errors: RowErrors, files: Sequence[str]) -> None:
    """Note the rows that name a file of another row."""
    num_rows = Counter(files)
    problem = "name a file that another row names, too"
    is_repeated = (num_rows[name] > 1 for name in files)
    errors.note("data.columns.file", files, is_repeated, problem, way=ONE_ROW)


def note_splits(errors: RowErrors, files: Sequence[str], cells: Mapping[str, Sequence[str]]) -> None:
    """Note the rows that give no group or no split, where the table has such columns."""
    if "group" in cells:
        errors.note("data.columns.group", files, (group == "" for group in cells["group"]), "give no group")
    if "split" in cells:
        problem = f"have another split than {', '.join(SPLITS)}"
        is_other = (split not in SPLITS for split in cells["split"])
        errors.note("data.columns.split", cells["split"], is_other, problem)


def make_samples(
    targets: Mapping[str, Target],
    strata: Mapping[str, int],
    files: Sequence[str],
    cells: Mapping[str, Sequence[str]],
    archive: Archive,
    facts: Facts,
) -> list[Sample]:
    """Return the samples of images, sorted by name, in splits that columns, folders or shares tell.

    Args:
        targets: of each image.
        strata: class of each image; the same for all if they have no single class.
        files: of each row.
        cells: of each row, by what the column holds.
    """
    groups: dict[str, str] | None = None
    if "group" in cells:
        groups = dict(zip(files, cells["group"], strict=True))
    elif facts.groups is not None:
        groups = {name: find_group(name, facts.groups) for name in files}
    if "split" in cells:
        splits = dict(zip(files, cells["split"], strict=True))
    elif facts.shares is None:
        splits = {name: read_split(name, archive) for name in files}
    else:
        splits = split_by_name(strata, facts.shares, groups=groups)
    return [
        Sample(name, splits[name], target=targets[name], group=None if groups is None else groups[name])
        for name in sorted(targets)
    ]
