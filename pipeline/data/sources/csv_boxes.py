"""Format `csv_boxes`: images anywhere in the archive, and a table with a row for each object, which has a box.

`data.table` is the table's name in the archive, or `../<name>` if it lies beside it, and `data.columns` says which
columns hold `file`, `x_min`, `y_min`, `x_max`, `y_max` and `label`, and where there are such, `split` (train, val or
test) and `group`, which are the same in all rows of an image. Without a column `label`, all objects are of the one
class of `data.classes`. Coordinates are in pixels of the image as it is seen; a box ends before `x_max` and `y_max`. An
image without an object has one row, in which the cells of box and label are empty. For names of files see `find_files`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.label_cells import note_unknown
from pipeline.data.place_tables import WAY, PlaceTable, note_numbers, note_rows, read_places
from pipeline.data.places import Box, check_unit
from pipeline.data.sources import Sample, index_classes
from pipeline.data.table_rows import make_samples
from pipeline.data.tables import RowErrors
from pipeline.errors import ConfigError

TARGET = "boxes"
FACTS = ("table", "columns")
SIDES = ("x_min", "y_min", "x_max", "y_max")
COLUMNS = ("file", *SIDES, "label", "split", "group")
NEEDED = ("file", *SIDES)
FEWEST_CLASSES = 1


def check_facts(facts: Facts) -> None:
    """Check that a column tells the class of each object, unless there is one class.

    Raises:
        ConfigError: none does.
    """
    if len(facts.classes) > 1 and "label" not in (facts.columns or {}):
        problem = f"no column tells which of {len(facts.classes)} classes an object is of"
        hint = "add label: <column>, or name one class, which all objects are of"
        raise ConfigError("data.columns", problem, got=facts.columns, hint=hint)


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the table names, sorted by name.

    Raises:
        ConfigError: a row has no file, a label that is no class, or a box that is none; or all boxes are in shares of
            the image.
    """
    places = _read(archive, facts)
    _check_rows(places, archive, facts)
    classes, cells = index_classes(facts), places.cells

    def read(row: int) -> Box:
        x_min, y_min, x_max, y_max = (float(cells[key][row]) for key in SIDES)
        return Box(x_min, y_min, x_max, y_max, classes[cells["label"][row]], where=places.tell(row))

    boxes = {name: tuple(map(read, rows)) for name, rows in places.rows_of_files().items()}
    ends = (max(box.x_max, box.y_max) for each in boxes.values() for box in each)
    check_unit(ends, "boxes", places.table.name)
    return make_samples(boxes, dict.fromkeys(boxes, 0), places.files, cells, archive, facts)


def _read(archive: Archive, facts: Facts) -> PlaceTable:
    """Read the table; without a column of labels, each object has the label of the one class."""
    if "label" in (facts.columns or {}):
        return read_places(archive, facts, (*SIDES, "label"))
    places = read_places(archive, facts, SIDES)
    (name,) = index_classes(facts)
    labels = ["" if is_empty else name for is_empty in places.empty]
    return replace(places, cells={**places.cells, "label": labels})


def _check_rows(places: PlaceTable, archive: Archive, facts: Facts) -> None:
    """Raise if rows are wrong, and tell all of them."""
    files, cells = places.files, places.cells
    errors = RowErrors(places.table)
    note_rows(errors, places, archive, facts)
    note_numbers(errors, places, SIDES)
    errors.check()  # what follows computes with the numbers
    for low, high in (("x_min", "x_max"), ("y_min", "y_max")):
        pairs = [
            (0.0, 1.0) if is_empty else (float(start), float(end))
            for start, end, is_empty in zip(cells[low], cells[high], places.empty, strict=True)
        ]
        shown = [f"{name} {start:g} {end:g}" for name, (start, end) in zip(files, pairs, strict=True)]
        path = f"data.columns.{high}"
        way = f"{high} is where the box ends, no width or height; exchange the columns if they are swapped"
        errors.note(path, shown, (end < start for start, end in pairs), f"have {high} below {low}", way=way)
        problem = f"have a box of no area, as {high} equals {low}"
        errors.note(
            path, shown, (end == start for start, end in pairs), problem, way="correct or remove them"
        )
    classes, labels = index_classes(facts), cells["label"]
    is_given = [not is_empty for is_empty in places.empty]
    lacks = (given and label == "" for given, label in zip(is_given, labels, strict=True))
    errors.note("data.columns.label", files, lacks, "give no label", way=WAY)
    unknown = [
        label if given and label not in classes else None
        for given, label in zip(is_given, labels, strict=True)
    ]
    note_unknown(errors, labels, unknown, facts)
    errors.note("data.columns.file", files, _repeats(places), "repeat another row", way="keep one of them")
    errors.check()


def _repeats(places: PlaceTable) -> Sequence[bool]:
    """Return whether another row tells the same of the same image."""
    rows = list(zip(places.files, *(places.cells[key] for key in (*SIDES, "label")), strict=True))
    counts = Counter(rows)
    return [counts[row] > 1 for row in rows]
