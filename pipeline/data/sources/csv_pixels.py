"""Format `csv_pixels`: a table whose rows are grey images, a column for each pixel, and their labels.

`data.root` is the table itself, and `data.columns` says which column holds the `label`, and where there are such,
`split` and `group`; all other columns are pixels, row by row. The images have the rows and columns of `data.shape` if
that fits their number, else as many rows as columns. The whole table is held in memory, at a byte for each pixel.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isqrt
from pathlib import Path

from pipeline.data.archive import Archive
from pipeline.data.entries import check_size, reading
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.data.sources.csv_labels import read_samples
from pipeline.data.tables import RowErrors, Table, has_header, read_table
from pipeline.errors import ConfigError

TARGET = "label"
FACTS = ("columns",)
COLUMNS = ("label", "split", "group")


class PixelTable:
    """An archive whose files are the rows of a table, as PGM images, and a table of their labels, by the same name.

    Args:
        pixels: of each row.
        labels: a table like those of the format `csv_labels`, as JSON of the fields of `Table`.
    """

    def __init__(self, root: Path, pixels: Sequence[bytes], sides: tuple[int, int], labels: bytes) -> None:
        self.root = root
        self.skipped: Counter[str] = Counter()
        self._head = b"P5 %d %d 255\n" % (sides[1], sides[0])
        self._labels = labels
        self._rows = dict(zip(map(_name, range(len(pixels))), pixels, strict=True))

    def names(self) -> list[str]:
        """Return the names of all rows, and of the table."""
        return [self.root.name, *self._rows]

    def read(self, name: str) -> bytes:
        """Return a row as the bytes of an image, or the table of labels."""
        return self._labels if name == self.root.name else self._head + self._rows[name]


@contextmanager
def opened(facts: Facts) -> Iterator[Archive]:
    """Read a table of pixels.

    Raises:
        ConfigError: it is missing or damaged, or a cell is no whole number from 0 to 255.
    """
    yield _read(facts)


def _read(facts: Facts) -> PixelTable:
    root, columns = Path(facts.root), facts.columns or {}
    if not root.is_file():
        raise ConfigError("data.root", got=facts.root, allowed="the path of a CSV file, or of a gzipped one")
    with reading(root, "the table"):
        check_size(facts.root, root.stat().st_size, facts.max_file_bytes)
        data = root.read_bytes()
    table = read_table(data, root.name, has_header=has_header(columns), max_bytes=facts.max_file_bytes)
    named = {
        key: table.find(column, path=f"data.columns.{key}")
        for key, column in columns.items()
        if not isinstance(column, list)  # which check_source refuses
    }
    pixels = [index for index in range(len(table.rows[0])) if index not in named.values()]
    sides = find_sides(len(pixels), facts.shape)
    rows = _read_pixels(table, pixels)
    return PixelTable(root, rows, sides, _labels(table, named))


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the rows; see `csv_labels.samples`."""
    is_named = has_header(facts.columns or {})
    numbers = {key: index for index, key in enumerate(("file", *(facts.columns or {})))}
    table = Table(archive.root.name, **json.loads(archive.read(archive.root.name)))
    columns: dict[str, str | int | list[str | int]] = {
        key: key if is_named else number for key, number in numbers.items()
    }
    return read_samples(table, archive, replace(facts, columns=columns))


def find_sides(num_pixels: int, shape: Sequence[int]) -> tuple[int, int]:
    """Return rows and columns of images of some number of pixels.

    Raises:
        ConfigError: they are neither those of `data.shape` nor equal.
    """
    if num_pixels == shape[1] * shape[2]:
        return shape[1], shape[2]
    side = isqrt(num_pixels)
    if side == 0 or side * side != num_pixels:
        raise ConfigError(
            "data.shape",
            f"its rows times columns are not the {num_pixels:,} pixels of a row, which are no square either",
            got=list(shape),
            hint="set data.shape=[1, <rows>, <columns>], and name the columns that are no pixels in data.columns",
        )
    return side, side


def _name(row: int) -> str:
    return f"row_{row + 1:07}.pgm"


def _read_pixels(table: Table, columns: Sequence[int]) -> list[bytes]:
    """Return the pixels of each row.

    Raises:
        ConfigError: cells are no pixels; it tells all rows that have some.
    """
    pixels: list[bytes] = []
    wrong: list[str] = []
    for row in table.rows:
        try:
            pixels.append(bytes(int(row[column]) for column in columns))
            wrong.append("")
        except ValueError:  # perhaps written as 0.0
            wrong.append(_find_wrong(table, row, columns))
            if not wrong[-1]:
                pixels.append(bytes(int(float(row[column])) for column in columns))
    errors = RowErrors(table)
    errors.note(
        table.name,
        wrong,
        map(bool, wrong),
        "hold what is no pixel",
        way="pixels are whole numbers from 0 to 255; name the columns that hold something else in data.columns",
    )
    errors.check()
    return pixels


def _find_wrong(table: Table, row: Sequence[str], columns: Sequence[int]) -> str:
    """Return the first cell of a row that is no pixel, with its column; empty if all are."""
    column = next((column for column in columns if not is_pixel(row[column])), None)
    if column is None:
        return ""
    return f"{row[column]!r} in column {table.header[column] if table.header else column}"


def is_pixel(cell: str) -> bool:
    """Return whether a cell is a whole number from 0 to 255, such as `7` or `7.0`."""
    try:
        value = float(cell)
    except ValueError:
        return False
    return 0 <= value <= 255 and value.is_integer()


def _labels(table: Table, named: Mapping[str, int]) -> bytes:
    """Return the columns that are no pixels, and the names of the rows, as the fields of a table."""
    header = ["file", *named] if table.header else []
    rows = [
        [_name(index), *(row[column] for column in named.values())] for index, row in enumerate(table.rows)
    ]
    return json.dumps({"header": header, "rows": rows, "lines": table.lines}).encode()
