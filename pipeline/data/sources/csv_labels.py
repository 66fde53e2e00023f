"""Format `csv_labels`: images anywhere in the archive, and a table that gives each its label.

`data.table` is the table's name in the archive, and `data.columns` says which columns hold `file` and `label`, and
where there are such, `split` (train, val or test) and `group`. Names of files are relative to the folder of the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from posixpath import dirname, normpath
from unicodedata import normalize

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.sources import Sample, index_classes, read_split
from pipeline.data.splits import find_group, split_by_name
from pipeline.data.tables import Table, has_header, read_table
from pipeline.errors import ConfigError

TARGET = "label"
FACTS = ("table", "columns")
COLUMNS = ("file", "label", "split", "group")


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the table names, sorted by name.

    Raises:
        ConfigError: a row has no file, no label, or a label that is no class; its file is missing, or in another row.
    """
    assert facts.table is not None
    if facts.table not in set(archive.names()):
        tables = [name for name in archive.names() if name.endswith(facts.table[-4:])][:20]
        raise ConfigError.unknown("data.table", facts.table, tables, what=f"file in {archive.root}:")
    columns = facts.columns or {}
    table = read_table(
        archive.read(facts.table),
        facts.table,
        has_header=has_header(columns),
        max_bytes=facts.max_file_bytes,
    )
    return read_samples(table, archive, facts)


def read_samples(table: Table, archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of a table, sorted by name; see `samples`."""
    columns = facts.columns or {}
    cells = {
        key: [normalize("NFC", row[index]) for row in table.rows]
        for key, column in columns.items()
        for index in [table.find(column, path=f"data.columns.{key}")]
    }
    folder = dirname(table.name)
    files = [normpath(f"{folder}/{name}" if folder else name) if name else "" for name in cells["file"]]
    _check_files(table, files, archive)
    _check_labels(table, files, cells["label"], facts)
    classes = index_classes(facts)
    labels = {name: classes[label] for name, label in zip(files, cells["label"], strict=True)}
    groups = _read_groups(table, files, cells.get("group"), facts)
    if "split" in cells:
        _check(
            table,
            "data.columns.split",
            cells["split"],
            _others(cells["split"]),
            f"have another split than {', '.join(SPLITS)}",
        )
        splits = dict(zip(files, cells["split"], strict=True))
    elif facts.shares is None:
        splits = {name: read_split(name, archive) for name in files}
    else:
        splits = split_by_name(labels, facts.shares, groups=groups)
    return [
        Sample(name, splits[name], target=labels[name], group=None if groups is None else groups[name])
        for name in sorted(labels)
    ]


def _read_groups(
    table: Table, files: Sequence[str], cells: Sequence[str] | None, facts: Facts
) -> dict[str, str] | None:
    if cells is None:
        return None if facts.groups is None else {name: find_group(name, facts.groups) for name in files}
    if facts.groups is not None:
        raise ConfigError(
            "data.groups",
            "is not used beside data.columns.group",
            got=facts.groups,
            hint="remove one of them",
        )
    _check(table, "data.columns.group", files, (group == "" for group in cells), "give no group")
    return dict(zip(files, cells, strict=True))


def _check_files(table: Table, files: Sequence[str], archive: Archive) -> None:
    path = "data.columns.file"
    known = set(archive.names())
    _check(table, path, files, (name == "" for name in files), "name no file")
    outside = (name.startswith(("/", "../")) or name == ".." for name in files)
    _check(
        table, path, files, outside, "name a file outside the folder of the table", way="write relative paths"
    )
    missing = (name not in known for name in files)
    _check(
        table,
        path,
        files,
        missing,
        f"name a file that {archive.root} does not have",
        way="add it, or remove the row",
    )


def _check_labels(table: Table, files: Sequence[str], labels: Sequence[str], facts: Facts) -> None:
    path = "data.columns.label"
    _check(table, path, files, (label == "" for label in labels), "give no label")
    pairs = set(zip(files, labels, strict=True))
    num_labels, num_rows = Counter(name for name, _ in pairs), Counter(files)
    several = (num_labels[name] > 1 for name in files)
    _check(table, path, files, several, "give a file several labels", way="keep one row of each file")
    repeated = (num_rows[name] > 1 for name in files)
    _check(
        table,
        path,
        files,
        repeated,
        "name a file that another row names, too",
        way="keep one row of each file",
    )
    classes = index_classes(facts)
    for index, label in enumerate(labels):
        if label not in classes:
            count = sum(each not in classes for each in labels)
            where = f"label of {count:,} rows of {table.name}, such as {table.first + index}:"
            raise ConfigError.unknown("data.classes", label, facts.classes, what=where)


def _others(splits: Sequence[str]) -> Iterator[bool]:
    return (split not in SPLITS for split in splits)


def _check(
    table: Table,
    path: str,
    values: Sequence[str],
    is_wrong: Iterator[bool],
    problem: str,
    *,
    way: str = "fill it in, or remove the row",
) -> None:
    """Raise if values of some rows are wrong; the error has their number, and the first of them."""
    rows = [index for index, wrong in enumerate(is_wrong) if wrong]
    if rows:
        shown = f" ({values[rows[0]]})" if values[rows[0]] else ""
        raise ConfigError(
            path,
            f"rows of {table.name} that {problem}: {len(rows):,}, the first is row {table.first + rows[0]}{shown}",
            hint=way,
        )
