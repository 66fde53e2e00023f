"""Format `csv_points`: images anywhere in the archive, and a table with a row for each, which tells its points.

`data.table` is the table's name in the archive, or `../<name>` if it lies beside it, and `data.columns` says which
column holds `file`, and where there are such, `split` (train, val or test) and `group`. The points, `data.points`, have
two columns each, `<point>_x` and `<point>_y`, unless `x` and `y` of `data.columns` list others in the order of the
points. Coordinates are in pixels of the image as it is seen; the middle of its first pixel is 0.5, 0.5. Both cells of a
point are empty if the image does not show it. For names of files see `find_files`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.places import Point, check_unit
from pipeline.data.sources import Sample
from pipeline.data.table_files import find_files
from pipeline.data.table_rows import (
    check_group_column,
    make_samples,
    note_files,
    note_repeated,
    note_splits,
    open_table,
    read_cells,
)
from pipeline.data.tables import RowErrors, Table, has_header, is_number
from pipeline.errors import ConfigError

TARGET = "points"
FACTS = ("table", "columns", "points", "swapped_points")
AXES = LISTS = ("x", "y")
COLUMNS = ("file", *AXES, "split", "group")
NEEDED = ("file",)
FEWEST_CLASSES, MOST_CLASSES = 0, 1
WAY = "write x and y in pixels, or leave both empty if the image does not show the point"


def check_facts(facts: Facts) -> None:
    """Check that the points have names, and columns where these are told.

    Raises:
        ConfigError: they have no names, or other numbers of columns.
    """
    if facts.points is None:
        allowed = "the names of the points, in the order of their indices"
        raise ConfigError("data.points", got=None, allowed=allowed)
    for axis in AXES:
        columns = (facts.columns or {}).get(axis)
        if columns is None and axis not in (facts.columns or {}) and has_header(facts.columns or {}):
            continue
        if not isinstance(columns, list) or len(columns) != len(facts.points):
            allowed = f"a list of {len(facts.points)} columns, one for each of data.points"
            raise ConfigError(f"data.columns.{axis}", got=columns, allowed=allowed)


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the table names, sorted by name.

    Raises:
        ConfigError: a row has no file, or one of another row, or no number where one is needed; or all points are in
            shares of the image.
    """
    table, names = open_table(archive, facts), facts.points or []
    cells = read_cells(table, facts)
    files = find_files(cells["file"], table.name, set(archive.names()))
    places = list(zip(_find(table, "x", facts), _find(table, "y", facts), strict=True))
    check_group_column(cells, facts)
    errors = RowErrors(table)
    note_files(errors, files, archive)
    note_repeated(errors, files)
    note_splits(errors, files, cells)
    for name, (x, y) in zip(names, places, strict=True):
        shown = [f"{row[x]!r}, {row[y]!r} for {name}" for row in table.rows]
        is_wrong = (any((row[x], row[y])) and not is_number(row[x], row[y]) for row in table.rows)
        errors.note("data.points", shown, is_wrong, "have no numbers as x and y of a point", way=WAY)
    errors.check()
    points = {
        file: _read(row, places, f"row {line} of {table.name}")
        for file, row, line in zip(files, table.rows, table.lines, strict=True)
    }
    labelled = [point for each in points.values() for point in each if point.is_labelled]
    check_unit((max(point.x, point.y) for point in labelled), "points", table.name)
    return make_samples(points, dict.fromkeys(points, 0), files, cells, archive, facts)


def _find(table: Table, axis: str, facts: Facts) -> list[int]:
    """Return the columns of an axis, in the order of the points."""
    told = (facts.columns or {}).get(axis, [f"{name}_{axis}" for name in facts.points or []])
    assert isinstance(told, list), "see check_facts"
    return [table.find(column, path=f"data.columns.{axis}") for column in told]


def _read(row: Sequence[str], places: Sequence[tuple[int, int]], where: str) -> tuple[Point, ...]:
    return tuple(
        Point(float(row[x]), float(row[y]), True, where) if row[x] else Point(0, 0, is_labelled=False)
        for x, y in places
    )
