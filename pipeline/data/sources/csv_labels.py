"""Format `csv_labels`: images anywhere in the archive, and a table that gives each its label.

`data.table` is the table's name in the archive, or `../<name>` if it lies beside it, and `data.columns` says which
columns hold `file` and `label`, and where there are such, `split` (train, val or test) and `group`. For names of files
see `find_files`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.sources import Sample, index_classes, read_split
from pipeline.data.splits import find_group, split_by_name
from pipeline.data.table_files import find_files, read_table_file
from pipeline.data.tables import RowErrors, Table, has_header, read_table
from pipeline.errors import ConfigError, nearest

TARGET = "label"
FACTS = ("table", "columns")
COLUMNS = ("file", "label", "split", "group")


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the table names, sorted by name.

    Raises:
        ConfigError: a row has no file, no label, or a label that is no class; its file is missing, or in another row.
    """
    assert facts.table is not None
    columns = facts.columns or {}
    table = read_table(
        read_table_file(archive, facts),
        facts.table,
        has_header=has_header(columns),
        max_bytes=facts.max_file_bytes,
    )
    return read_samples(table, archive, facts)


def read_samples(table: Table, archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of a table, sorted by name; see `samples`."""
    columns = facts.columns or {}
    cells = {
        key: [row[index] for row in table.rows]
        for key, column in columns.items()
        for index in [table.find(column, path=f"data.columns.{key}")]
    }
    files = find_files(cells["file"], table.name, set(archive.names()))
    _check_rows(table, files, cells, archive, facts)
    classes = index_classes(facts)
    labels = {name: classes[label] for name, label in zip(files, cells["label"], strict=True)}
    groups = _read_groups(files, cells.get("group"), facts)
    if "split" in cells:
        splits = dict(zip(files, cells["split"], strict=True))
    elif facts.shares is None:
        splits = {name: read_split(name, archive) for name in files}
    else:
        splits = split_by_name(labels, facts.shares, groups=groups)
    return [
        Sample(name, splits[name], target=labels[name], group=None if groups is None else groups[name])
        for name in sorted(labels)
    ]


def _read_groups(files: Sequence[str], cells: Sequence[str] | None, facts: Facts) -> dict[str, str] | None:
    if cells is None:
        return None if facts.groups is None else {name: find_group(name, facts.groups) for name in files}
    return dict(zip(files, cells, strict=True))


def _check_rows(
    table: Table, files: Sequence[str], cells: Mapping[str, Sequence[str]], archive: Archive, facts: Facts
) -> None:
    """Raise if rows are wrong, and tell all of them; or if groups are declared twice."""
    if "group" in cells and facts.groups is not None:
        hint = "remove one of them"
        raise ConfigError("data.groups", "is not used beside data.columns.group", got=facts.groups, hint=hint)
    errors = RowErrors(table)
    _note_files(errors, files, archive)
    _note_labels(errors, files, cells["label"], facts)
    if "group" in cells:
        errors.note("data.columns.group", files, (group == "" for group in cells["group"]), "give no group")
    if "split" in cells:
        problem = f"have another split than {', '.join(SPLITS)}"
        is_other = (split not in SPLITS for split in cells["split"])
        errors.note("data.columns.split", cells["split"], is_other, problem)
    errors.check()


def _note_files(errors: RowErrors, files: Sequence[str], archive: Archive) -> None:
    path, known = "data.columns.file", set(archive.names())
    errors.note(path, files, (name == "" for name in files), "name no file")
    outside = (name.startswith(("/", "../")) or name == ".." for name in files)
    errors.note(
        path, files, outside, "name a file outside the folder of the table", way="write relative paths"
    )
    missing = (name not in known for name in files)
    problem = f"name a file that {archive.root} does not have"
    errors.note(path, files, missing, problem, way="add it, or remove the row")


def _note_labels(errors: RowErrors, files: Sequence[str], labels: Sequence[str], facts: Facts) -> None:
    path, way = "data.columns.label", "keep one row of each file"
    errors.note(path, files, (label == "" for label in labels), "give no label")
    num_labels = Counter(name for name, _ in set(zip(files, labels, strict=True)))
    errors.note(path, files, (num_labels[name] > 1 for name in files), "give a file several labels", way=way)
    num_rows = Counter(files)
    problem = "name a file that another row names, too"
    errors.note(path, files, (num_rows[name] > 1 for name in files), problem, way=way)
    classes = index_classes(facts)
    unknown = next((label for label in labels if label and label not in classes), None)
    way = f"{nearest(unknown, classes)}data.classes has {', '.join(facts.classes[:20])}"
    is_unknown = (label not in classes for label in labels)
    errors.note("data.classes", labels, is_unknown, "have a label that is no class", way=way)
