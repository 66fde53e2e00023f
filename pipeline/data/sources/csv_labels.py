"""Format `csv_labels`: images anywhere in the archive, and a table that gives each its label, or any number of them.

`data.table` is the table's name in the archive, and `data.columns` says which columns hold `file` and `label`, and
where there are such, `split` (train, val or test) and `group`. Names of files are relative to the folder of the table.
Several labels per image are in one column, whose cells `data.separator` divides, or as 0 or 1 in one column per class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from posixpath import dirname, normpath
from unicodedata import normalize

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.label_cells import has_several, read_label_sets
from pipeline.data.sources import Sample, index_classes, read_split
from pipeline.data.splits import find_group, split_by_name
from pipeline.data.tables import Table, check_rows, has_header, read_table
from pipeline.errors import ConfigError

FACTS = ("table", "columns", "separator")
COLUMNS = ("file", "label", "split", "group")
ONE_ROW = "keep one row of each file"
SEVERAL = "several labels of an image go into one cell, divided by data.separator, or into a column per class"


def find_target(facts: Facts) -> str:
    """Return the kind of target: one label per image, or several."""
    return "labels" if has_several(facts) else "label"


def check_facts(facts: Facts) -> None:
    """Check that labels are told in one way only, and that each class has its column where they have columns.

    Raises:
        ConfigError: the separator is empty or would be ignored, or columns and classes differ in number.
    """
    column = (facts.columns or {})["label"]
    if facts.separator is not None and not facts.separator:
        raise ConfigError("data.separator", got="", allowed='null or the text between labels, such as "|"')
    if not isinstance(column, list):
        return
    if facts.separator is not None:
        raise ConfigError(
            "data.separator",
            "is not used where each class has its column",
            got=facts.separator,
            hint="remove it, or name one column as data.columns.label",
        )
    if len(column) != len(facts.classes):
        raise ConfigError(
            "data.columns.label",
            got=column,
            allowed=f"one column, or one for each of the {len(facts.classes)} classes, in their order",
        )


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the table names, sorted by name.

    Raises:
        ConfigError: a row has no file, a label that is no class, or no label where each image has one; its file is
            missing, or in another row.
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
        separator=facts.separator,
    )
    return read_samples(table, archive, facts)


def read_samples(table: Table, archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of a table, sorted by name; see `samples`."""
    columns = facts.columns or {}
    cells = {
        key: [normalize("NFC", row[index]) for row in table.rows]
        for key, column in columns.items()
        if not isinstance(column, list)
        for index in [table.find(column, path=f"data.columns.{key}")]
    }
    folder = dirname(table.name)
    files = [normpath(f"{folder}/{name}" if folder else name) if name else "" for name in cells["file"]]
    _check_files(table, files, archive)
    targets: dict[str, int] | dict[str, tuple[int, ...]]
    if has_several(facts):
        _check_once(table, files)
        targets = dict(zip(files, read_label_sets(table, files, facts), strict=True))
        strata = dict.fromkeys(files, 0)
    else:
        _check_labels(table, files, cells["label"], facts)
        classes = index_classes(facts)
        targets = strata = {name: classes[label] for name, label in zip(files, cells["label"], strict=True)}
    groups = _read_groups(table, files, cells.get("group"), facts)
    if "split" in cells:
        check_rows(
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
        splits = split_by_name(strata, facts.shares, groups=groups)
    return [
        Sample(name, splits[name], target=targets[name], group=None if groups is None else groups[name])
        for name in sorted(targets)
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
    check_rows(table, "data.columns.group", files, (group == "" for group in cells), "give no group")
    return dict(zip(files, cells, strict=True))


def _check_files(table: Table, files: Sequence[str], archive: Archive) -> None:
    path = "data.columns.file"
    known = set(archive.names())
    check_rows(table, path, files, (name == "" for name in files), "name no file")
    outside = (name.startswith(("/", "../")) or name == ".." for name in files)
    check_rows(
        table, path, files, outside, "name a file outside the folder of the table", way="write relative paths"
    )
    missing = (name not in known for name in files)
    check_rows(
        table,
        path,
        files,
        missing,
        f"name a file that {archive.root} does not have",
        way="add it, or remove the row",
    )


def _check_labels(table: Table, files: Sequence[str], labels: Sequence[str], facts: Facts) -> None:
    path = "data.columns.label"
    check_rows(table, path, files, (label == "" for label in labels), "give no label")
    pairs = set(zip(files, labels, strict=True))
    num_labels = Counter(name for name, _ in pairs)
    several = (num_labels[name] > 1 for name in files)
    check_rows(table, path, files, several, "give a file several labels", way=f"{ONE_ROW}; {SEVERAL}")
    _check_once(table, files)
    classes = index_classes(facts)
    for index, label in enumerate(labels):
        if label not in classes:
            count = sum(each not in classes for each in labels)
            where = f"label of {count:,} rows of {table.name}, such as {table.first + index}:"
            raise ConfigError.unknown("data.classes", label, facts.classes, what=where)


def _check_once(table: Table, files: Sequence[str]) -> None:
    num_rows = Counter(files)
    repeated = (num_rows[name] > 1 for name in files)
    check_rows(
        table, "data.columns.label", files, repeated, "name a file that another row names, too", way=ONE_ROW
    )


def _others(splits: Sequence[str]) -> Iterator[bool]:
    return (split not in SPLITS for split in splits)
