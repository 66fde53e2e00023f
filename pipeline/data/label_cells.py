"""Several labels per image, as a table holds them: in one cell with a separator, or as 0 or 1 in a column per class."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

from pipeline.data.facts import Facts
from pipeline.data.sources import index_classes
from pipeline.data.tables import Table, check_rows
from pipeline.errors import ConfigError

PATH = "data.columns.label"
FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}  # of lower case


def has_several(facts: Facts) -> bool:
    """Return whether a table gives each image any number of labels, instead of one."""
    return facts.separator is not None or isinstance((facts.columns or {}).get("label"), list)


def read_label_sets(table: Table, files: Sequence[str], facts: Facts) -> list[tuple[int, ...]]:
    """Return the indices of the classes of each row, sorted; empty for an image of no class.

    Args:
        files: of each row, which errors show.

    Raises:
        ConfigError: a label is no class, or a cell of a class's column is neither 0 nor 1.
    """
    column = (facts.columns or {})["label"]
    if isinstance(column, list):
        return _read_flags(table, files, column)
    assert facts.separator is not None
    index, separator = table.find(column, path=PATH), normalize("NFC", facts.separator)
    return _read_names(table, [split_cell(row[index], separator) for row in table.rows], facts)


def split_cell(cell: str, separator: str) -> list[str]:
    """Return the labels in a cell, without spaces around them; none of them is empty."""
    return [name for each in normalize("NFC", cell).split(separator) if (name := each.strip())]


def read_flag(cell: str) -> bool | None:
    """Return what a cell of a class's column says; None if it is neither 0 nor 1."""
    return FLAGS.get(cell.lower())


def _read_names(table: Table, rows: Sequence[Sequence[str]], facts: Facts) -> list[tuple[int, ...]]:
    classes = index_classes(facts)
    unknown = [index for index, names in enumerate(rows) if any(name not in classes for name in names)]
    if unknown:
        label = next(name for name in rows[unknown[0]] if name not in classes)
        where = f"label of {len(unknown):,} rows of {table.name}, such as {table.first + unknown[0]}:"
        raise ConfigError.unknown("data.classes", label, facts.classes, what=where)
    return [tuple(sorted({classes[name] for name in names})) for names in rows]


def _read_flags(table: Table, files: Sequence[str], columns: Sequence[str | int]) -> list[tuple[int, ...]]:
    indices = [table.find(column, path=PATH) for column in columns]
    for column, index in zip(columns, indices, strict=True):
        wrong = (read_flag(row[index]) is None for row in table.rows)
        check_rows(
            table,
            PATH,
            files,
            wrong,
            f"have neither 0 nor 1 in column {column}",
            way="write 1 where the image has the class, else 0",
        )
    return [
        tuple(place for place, index in enumerate(indices) if read_flag(row[index])) for row in table.rows
    ]
