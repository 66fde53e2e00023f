"""Format `csv_labels`: images anywhere in the archive, and a table that gives each its label, or any number of them.

`data.table` is the table's name in the archive, or `../<name>` if it lies beside it, and `data.columns` says which
columns hold `file` and `label`, and where there are such, `split` (train, val or test) and `group`. For names of files
see `find_files`. Several labels per image are in one column, whose cells `data.separator` divides, or as 0 or 1 in one
column per class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.label_cells import has_several, note_label_sets, note_unknown, read_label_sets
from pipeline.data.sources import Sample, index_classes
from pipeline.data.table_files import find_files
from pipeline.data.table_rows import (
    ONE_ROW,
    check_group_column,
    make_samples,
    note_files,
    note_repeated,
    note_splits,
    open_table,
    read_cells,
)
from pipeline.data.tables import RowErrors, Table
from pipeline.errors import ConfigError

FACTS = ("table", "columns", "separator")
COLUMNS = ("file", "label", "split", "group")
LISTS = ("label",)
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
    return read_samples(open_table(archive, facts), archive, facts)


def read_samples(table: Table, archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of a table, sorted by name; see `samples`."""
    cells = read_cells(table, facts)
    files = find_files(cells["file"], table.name, set(archive.names()))
    _check_rows(table, files, cells, archive, facts)
    targets: dict[str, int] | dict[str, tuple[int, ...]]
    if has_several(facts):
        targets, strata = (
            dict(zip(files, read_label_sets(table, facts), strict=True)),
            dict.fromkeys(files, 0),
        )
    else:
        classes = index_classes(facts)
        targets = strata = {name: classes[label] for name, label in zip(files, cells["label"], strict=True)}
    return make_samples(targets, strata, files, cells, archive, facts)


def _check_rows(
    table: Table, files: Sequence[str], cells: Mapping[str, Sequence[str]], archive: Archive, facts: Facts
) -> None:
    """Raise if rows are wrong, and tell all of them; or if groups are declared twice."""
    check_group_column(cells, facts)
    errors = RowErrors(table)
    note_files(errors, files, archive)
    if has_several(facts):
        note_repeated(errors, files)
        note_label_sets(errors, table, files, facts)
    else:
        _note_labels(errors, files, cells["label"], facts)
    note_splits(errors, files, cells)
    errors.check()


def _note_labels(errors: RowErrors, files: Sequence[str], labels: Sequence[str], facts: Facts) -> None:
    path, way = "data.columns.label", f"{ONE_ROW}; {SEVERAL}"
    errors.note(path, files, (label == "" for label in labels), "give no label")
    num_labels = Counter(name for name, _ in set(zip(files, labels, strict=True)))
    errors.note(path, files, (num_labels[name] > 1 for name in files), "give a file several labels", way=way)
    note_repeated(errors, files)
    classes = index_classes(facts)
    note_unknown(errors, labels, [None if label in classes else label for label in labels], facts)
