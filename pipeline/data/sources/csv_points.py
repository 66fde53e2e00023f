"""Format `csv_points`: images anywhere in the archive, and a table with a row for each point of each image.

`data.table` is the table's name in the archive, or `../<name>` if it lies beside it, and `data.columns` says which
columns hold `file`, `point` (one of `data.points`), `x` and `y`, and where there are such, `split` (train, val or test)
and `group`, which are the same in all rows of an image. Coordinates are in pixels of the image as it is seen; the
middle of its first pixel is 0.5, 0.5. Each image has a row for each point, in which x and y are empty if it does not
show it; or one row in which the cell of the point is empty, too, if it shows none. For names of files see `find_files`.
"""

from __future__ import annotations

from collections import Counter

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.place_tables import PlaceTable, note_numbers, note_rows, read_places
from pipeline.data.places import Point, check_unit
from pipeline.data.sources import Sample
from pipeline.data.table_rows import make_samples
from pipeline.data.tables import RowErrors
from pipeline.errors import ConfigError, nearest

TARGET = "points"
FACTS = ("table", "columns", "points", "swapped_points")
PLACE = ("x", "y")
COLUMNS = ("file", "point", *PLACE, "split", "group")
NEEDED = ("file", "point", *PLACE)
FEWEST_CLASSES, MOST_CLASSES = 0, 1


def check_facts(facts: Facts) -> None:
    """Check that the points have names.

    Raises:
        ConfigError: they have none.
    """
    if facts.points is None:
        raise ConfigError(
            "data.points", got=None, allowed="the names of the points, in the order of their indices"
        )


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the table names, sorted by name.

    Raises:
        ConfigError: a row has no file, another point than those declared, or no number; or an image does not have all
            points; or all of them are in shares of the image.
    """
    names = facts.points or []
    places = read_places(archive, facts, ("point", *PLACE))
    _check_rows(places, names, archive, facts)
    points: dict[str, tuple[Point, ...]] = {}
    for file, rows in places.rows_of_files().items():
        found = {places.cells["point"][row]: _read(places, row) for row in rows}
        points[file] = tuple(found.get(name, Point(0, 0, is_labelled=False)) for name in names)
    labelled = [point for each in points.values() for point in each if point.is_labelled]
    check_unit((max(point.x, point.y) for point in labelled), "points", places.table.name)
    return make_samples(points, dict.fromkeys(points, 0), places.files, places.cells, archive, facts)


def _read(places: PlaceTable, row: int) -> Point:
    x, y = (places.cells[key][row] for key in PLACE)
    return Point(float(x), float(y), True, places.tell(row)) if x else Point(0, 0, is_labelled=False)


def _check_rows(places: PlaceTable, names: list[str], archive: Archive, facts: Facts) -> None:
    """Raise if rows are wrong, and tell all of them."""
    files, cells, errors = places.files, places.cells["point"], RowErrors(places.table)
    note_rows(errors, places, archive, facts)
    note_numbers(errors, places, PLACE, may_lack=True)
    is_unknown = [not empty and cell not in names for cell, empty in zip(cells, places.empty, strict=True)]
    first = next((cell for cell, unknown in zip(cells, is_unknown, strict=True) if unknown), "")
    way = f"{nearest(first, names)}data.points has {', '.join(names)}"
    errors.note("data.points", cells, is_unknown, "tell a point that is not declared", way=way)
    pairs = list(zip(files, cells, strict=True))
    counts, shown = Counter(pairs), [" ".join(pair) for pair in pairs]
    repeats = (counts[pair] > 1 for pair in pairs)
    errors.note(
        "data.columns.point", shown, repeats, "tell a point of an image again", way="keep one of them"
    )
    errors.check()
    lacking = {
        file: [name for name in names if name not in {cells[row] for row in rows}]
        for file, rows in places.rows_of_files().items()
        if rows
    }
    incomplete = [file for file, lacks in lacking.items() if lacks]
    if incomplete:
        raise ConfigError(
            places.table.name,
            f"images that lack rows of points: {len(incomplete):,}, such as {incomplete[0]}, which lacks "
            f"{', '.join(lacking[incomplete[0]])}",
            hint="give each image a row for each of data.points, with empty x and y if it does not show the point",
        )
