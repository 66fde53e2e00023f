"""Several labels per image, as a table holds them: in one cell with a separator, or as 0 or 1 in a column per class."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

from pipeline.data.facts import Facts
from pipeline.data.sources import index_classes
from pipeline.data.tables import RowErrors, Table
from pipeline.errors import nearest

PATH = "data.columns.label"
MOST_NAMES = 20  # of classes in an error
FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}  # of lower case


def has_several(facts: Facts) -> bool:
    """Return whether a table gives each image any number of labels, instead of one."""
    return facts.separator is not None or isinstance((facts.columns or {}).get("label"), list)


def note_label_sets(errors: RowErrors, table: Table, files: Sequence[str], facts: Facts) -> None:
    """Note the rows that have a label that is no class, or neither 0 nor 1 in the column of a class.

    Args:
        files: of each row, which errors show.
    """
    column = (facts.columns or {})["label"]
    if isinstance(column, list):
        way = "write 1 where the image has the class, else 0"
        for each in column:
            index = table.find(each, path=PATH)
            is_wrong = (read_flag(row[index]) is None for row in table.rows)
            errors.note(PATH, files, is_wrong, f"have neither 0 nor 1 in column {each}", way=way)
        return
    classes = index_classes(facts)
    sets = _split_rows(table, column, facts)
    unknown = [next((name for name in names if name not in classes), None) for names in sets]
    note_unknown(errors, [name or "" for name in unknown], unknown, facts)


def note_unknown(
    errors: RowErrors, values: Sequence[str], unknown: Sequence[str | None], facts: Facts
) -> None:
    """Note the rows that have a label that is no class.

    Args:
        values: what to show of each row.
        unknown: such a label of each row; None if it has none.
    """
    first = next((label for label in unknown if label), None)
    way = f"{nearest(first, facts.classes)}data.classes has {', '.join(facts.classes[:MOST_NAMES])}"
    is_unknown = (label is not None for label in unknown)
    errors.note("data.classes", values, is_unknown, "have a label that is no class", way=way)


def read_label_sets(table: Table, facts: Facts) -> list[tuple[int, ...]]:
    """Return the indices of the classes of each row, sorted; empty for an image of no class."""
    column = (facts.columns or {})["label"]
    if isinstance(column, list):
        indices = [table.find(each, path=PATH) for each in column]
        return [
            tuple(place for place, index in enumerate(indices) if read_flag(row[index])) for row in table.rows
        ]
    classes = index_classes(facts)
    return [tuple(sorted({classes[name] for name in names})) for names in _split_rows(table, column, facts)]


def split_cell(cell: str, separator: str) -> list[str]:
    """Return the labels in a cell, without spaces around them; none of them is empty."""
    return [name for each in normalize("NFC", cell).split(separator) if (name := each.strip())]


def read_flag(cell: str) -> bool | None:
    """Return what a cell of a class's column says; None if it is neither 0 nor 1."""
    return FLAGS.get(cell.lower())


def _split_rows(table: Table, column: str | int, facts: Facts) -> list[list[str]]:
    assert facts.separator is not None
    index, separator = table.find(column, path=PATH), normalize("NFC", facts.separator)
    return [split_cell(row[index], separator) for row in table.rows]
