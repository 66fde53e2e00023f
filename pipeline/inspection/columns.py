"""What the columns of somebody's table hold: file names, labels, splits, groups, or pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLITS
from pipeline.data.label_cells import read_flag, split_cell
from pipeline.data.sources import is_image
from pipeline.data.sources.csv_pixels import is_pixel
from pipeline.data.table_files import find_files
from pipeline.data.tables import Table, read_table
from pipeline.errors import ConfigError

LOOKED_AT = 200  # rows from which the columns are recognised
LEAST_PIXELS = 16  # columns of numbers that make a row an image
SEPARATORS = "|;"  # of several labels in a cell
COMMA = ","  # is one, too, unless it is a part of names
# What headers call a column, the likeliest first.
NAMES = {
    "label": (
        *("label", "class", "target", "category", "diagnosis", "y", "species", "type"),
        *("labels", "classes", "categories", "tags", "findings", "attributes"),
    ),
    "split": ("split", "set", "subset", "part", "partition"),
    "group": ("group", "patient", "patient_id", "subject", "subject_id", "writer"),
}


Columns = dict[str, str | int | list[str | int]]


@dataclass(frozen=True)
class Labels:
    """What the user says of the labels in a table.

    Args:
        column: that holds them, or one for each class, divided by commas; None to find it.
        separator: of several labels in a cell; `none` if each cell has one; None to find it.
    """

    column: str | None = None
    separator: str | None = None


@dataclass(frozen=True)
class Labelled:
    """A table of labels.

    Args:
        columns: the fact `columns`.
        separator: the fact `separator`.
        labels: all that are in the table.
    """

    columns: Columns
    separator: str | None
    labels: list[str]


def read_any(data: bytes, name: str, *, max_bytes: int, told: Labels) -> Table:
    """Read a table with or without a header: a first row that has numbers is none, nor one that names an image.

    Args:
        told: what the user says of labels; their separator is no delimiter.
    """
    separator = None if told.separator == "none" else told.separator
    table = read_table(data, name, has_header=False, max_bytes=max_bytes, separator=separator)
    first = table.rows[0]
    is_header = not any(_is_number(cell) or is_image(cell) for cell in first) and len(set(first)) == len(
        first
    )
    return Table(name, first, table.rows[1:], table.lines[1:]) if is_header and len(table.rows) > 1 else table


def find_pixels(table: Table, label: str | None) -> dict[str, str | int] | None:
    """Return the columns of a table of pixels; None if its rows are no images.

    Args:
        label: the column of labels that the user named; None to find it: a column that has a name for it, or that holds
            no pixels, else the last one.

    Raises:
        ConfigError: the user named a column that does not exist.
    """
    rows = table.rows[:LOOKED_AT]
    pixels = {index for index in range(len(rows[0])) if all(is_pixel(row[index]) for row in rows)}
    if len(pixels) < LEAST_PIXELS or len(pixels) < 0.9 * len(rows[0]):
        return None
    others = [index for index in range(len(rows[0])) if index not in pixels]
    named = find_named(table, "label")
    chosen = table.find(_typed(table, label), path="label") if label else None
    found = next((index for index in (chosen, named, *others) if index is not None), len(rows[0]) - 1)
    columns = {"label": found}
    for key in ("split", "group"):
        index = find_named(table, key)
        if index is not None and index != found:
            columns[key] = index
    return {key: refer(table, index) for key, index in columns.items()}


def find_labels(table: Table, archive: Archive, told: Labels) -> Labelled | None:
    """Return what a table of labels holds; None if no column names files of the archive.

    Args:
        told: what the user says. The column of labels is found as the one whose name means it, else the first that has
            from 2 values to half as many as rows. If that has only 0 and 1, all columns that do are classes.

    Raises:
        ConfigError: the user named a column that does not exist, or none can be told to be the labels.
    """
    indices = range(len(table.rows[0]))
    names = set(archive.names())
    file = find_file(table, names)
    if file is None:
        return None
    columns = {"file": file}
    for key in ("split", "group"):
        index = find_named(table, key)
        is_usable = index is not None and (
            key != "split" or {row[index] for row in table.rows} <= set(SPLITS)
        )
        if index is not None and is_usable:
            columns[key] = index
    found = _find_label(table, told.column, [index for index in indices if index not in columns.values()])
    own: str | int | list[str | int] = [refer(table, index) for index in found]
    separator = None
    if len(found) > 1:
        labels = [table.header[i] if table.header else f"class_{i}" for i in found]
    else:
        cells = [row[found[0]] for row in table.rows]
        own = refer(table, found[0])
        separator = None if told.separator == "none" else told.separator or _find_separator(cells)
        labels = list_labels(cells, separator)
    others: Columns = {key: refer(table, columns[key]) for key in ("split", "group") if key in columns}
    return Labelled({"file": refer(table, file), "label": own, **others}, separator, labels)


def find_file(table: Table, names: Set[str], *, is_each: bool = True) -> int | None:
    """Return the column of names of files, or of ends of such names; None if there is none.

    Args:
        is_each: whether each row names another file.
    """
    found = _find_file(table, names, by_end=False, is_each=is_each)
    return _find_file(table, names, by_end=True, is_each=is_each) if found is None else found


def _find_file(table: Table, names: Set[str], *, by_end: bool, is_each: bool) -> int | None:
    """Return the column that names files in at least half of its rows; of several, that with most different cells."""
    counts = []
    for cells in zip(*table.rows[:LOOKED_AT], strict=True):
        num_different, files = len(set(cells)), list[str]()
        if num_different >= len(cells) / 2 or not is_each:  # rows name a file each
            files = find_files(cells, table.name, names, by_end=by_end)
        num_found = sum(file in names for file in files)
        counts.append(num_different if num_found >= len(cells) / 2 else 0)
    return counts.index(max(counts)) if any(counts) else None


def list_labels(cells: Sequence[str], separator: str | None) -> list[str]:
    """Return the labels in some cells, in the order in which they occur."""
    sets = (split_cell(cell, separator) if separator else [cell] for cell in cells)
    return list(dict.fromkeys(label for labels in sets for label in labels if label))


def _find_separator(cells: Sequence[str]) -> str | None:
    """Return what divides several labels in a cell; None if each cell has one label.

    A comma does if at least half of what it divides is in several different cells; else it belongs to names.
    """
    found = next((each for each in SEPARATORS if any(each in cell for cell in cells)), None)
    if found is not None or not any(COMMA in cell for cell in cells):
        return found
    parts = Counter(part for cell in set(cells) for part in split_cell(cell, COMMA))
    return COMMA if sum(count > 1 for count in parts.values()) >= len(parts) / 2 else None


def _find_label(table: Table, label: str | None, candidates: Sequence[int]) -> list[int]:
    """Return the column of labels, or one for each class."""
    if label:
        names = [label] if label in table.header else label.split(",")
        return [table.find(_typed(table, name.strip()), path="label") for name in names]
    named = find_named(table, "label")
    if named is not None and named in candidates:
        return [named]
    most = len(table.rows) / 2
    found = next(
        (index for index in candidates if 2 <= len({row[index] for row in table.rows}) <= most), None
    )
    if found is None:
        raise ConfigError(
            table.name,
            "has no column of labels: none has from 2 values to half as many as rows",
            hint="name one by label=<column>",
        )
    flags = [index for index in candidates if _is_class(table, index)]
    return flags if found in flags else [found]


def _is_class(table: Table, index: int) -> bool:
    """Return whether a column says of each image whether it has a class."""
    return {read_flag(row[index]) for row in table.rows} == {False, True}


def find_named(table: Table, key: str) -> int | None:
    """Return the column whose name in the header means a key, such as `label`; None if there is none."""
    header = [name.lower() for name in table.header]
    return next((header.index(name) for name in NAMES[key] if name in header), None)


def refer(table: Table, index: int) -> str | int:
    """Return the name of a column, or its number in a table without a header."""
    return table.header[index] if table.header else index


def _typed(table: Table, column: str) -> str | int:
    return int(column) if not table.header and column.isdigit() else column


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def describe_columns(columns: Mapping[str, str | int | list[str | int]], separator: str | None) -> str:
    """Return which columns were found, in a sentence."""
    found = ", ".join(
        f"a class in each of the columns {', '.join(map(str, column))}"
        if isinstance(column, list)
        else f"{key} in column {column}"
        for key, column in columns.items()
    )
    several = f", several divided by '{separator}'" if separator else ""
    return f"columns: {found}{several}; label=<column> names another for the labels"
