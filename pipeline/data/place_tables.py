"""Tables that say where things are: any number of rows for each image, one of each box or point.

An image without any has a row in which the cells of the place are empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.table_files import find_files
from pipeline.data.table_rows import check_group_column, note_files, note_splits, open_table, read_cells
from pipeline.data.tables import RowErrors, Table, is_number

WAY = "leave all cells of a place empty where the image has none"


@dataclass(frozen=True)
class PlaceTable:
    """The rows of a table.

    Args:
        files: of each row.
        cells: of each row, by what the column holds.
        empty: whether each row says that its image has nothing.
    """

    table: Table
    files: Sequence[str]
    cells: Mapping[str, Sequence[str]]
    empty: Sequence[bool]

    def tell(self, row: int) -> str:
        """Return what names a row in errors."""
        return f"row {self.table.lines[row]} of {self.table.name}"

    def rows_of_files(self) -> dict[str, list[int]]:
        """Return the rows of each image that tell a place, in their order."""
        found: dict[str, list[int]] = {name: [] for name in self.files}
        for row, (name, is_empty) in enumerate(zip(self.files, self.empty, strict=True)):
            if not is_empty:
                found[name].append(row)
        return found


def read_places(archive: Archive, facts: Facts, keys: Sequence[str]) -> PlaceTable:
    """Read the table of a data set.

    Args:
        keys: what the columns of a place hold.

    Raises:
        ConfigError: the table or one of the columns is missing.
    """
    table = open_table(archive, facts)
    cells = read_cells(table, facts)
    files = find_files(cells["file"], table.name, set(archive.names()))
    empty = [not any(row) for row in zip(*(cells[key] for key in keys), strict=True)]
    return PlaceTable(table, files, cells, empty)


def note_rows(errors: RowErrors, places: PlaceTable, archive: Archive, facts: Facts) -> None:
    """Note the rows whose file, split or group is wrong, or contradicts another row of the same image.

    Raises:
        ConfigError: groups are declared twice.
    """
    files, cells = places.files, places.cells
    check_group_column(cells, facts)
    note_files(errors, files, archive)
    note_splits(errors, files, cells)
    for key in ("split", "group"):
        if key in cells:
            first = dict(zip(reversed(files), reversed(cells[key]), strict=True))
            differs = (first[name] != value for name, value in zip(files, cells[key], strict=True))
            problem = f"give an image another {key} than an earlier row"
            errors.note(f"data.columns.{key}", files, differs, problem, way=f"give all its rows one {key}")
    filled = {name for name, is_empty in zip(files, places.empty, strict=True) if not is_empty}
    contradicts = (is_empty and name in filled for name, is_empty in zip(files, places.empty, strict=True))
    problem = "say that an image has nothing, while others tell what it has"
    errors.note("data.columns.file", files, contradicts, problem, way="remove the empty ones")


def note_numbers(errors: RowErrors, places: PlaceTable, keys: Sequence[str]) -> None:
    """Note the rows in which a coordinate is no finite number."""
    for key in keys:
        values = places.cells[key]
        is_wrong = (
            not is_empty and not is_number(value)
            for value, is_empty in zip(values, places.empty, strict=True)
        )
        shown = [f"{value or 'empty'}, {name}" for value, name in zip(values, places.files, strict=True)]
        errors.note(f"data.columns.{key}", shown, is_wrong, f"have no number as {key}", way=WAY)
