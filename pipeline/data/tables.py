"""Tables of labels or pixels: CSV or TSV, with or without a header, plain or gzipped."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import ConfigError

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DELIMITERS = ",\t;|"
HINT = "save it as CSV in UTF-8"
GZIP = 16 + zlib.MAX_WBITS  # tells zlib to expect the header of gzip


@dataclass(frozen=True)
class Table:
    """The rows of a table; all have the same number of cells.

    Args:
        name: of its file, for errors.
        header: names of the columns; empty if it has none.
        first: line of the first row, counted from 1.
    """

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    first: int

    def find(self, column: str | int, *, path: str) -> int:
        """Return the index of a column.

        Args:
            column: its name in the header, or its number, counted from 0, in a table without one.
            path: config path of the setting that names it.

        Raises:
            ConfigError: there is no such column.
        """
        if isinstance(column, str):
            if column not in self.header:
                raise ConfigError.unknown(path, column, self.header, what=f"column of {self.name}:")
            return list(self.header).index(column)
        num_columns = len(self.rows[0])
        if not 0 <= column < num_columns:
            raise ConfigError(
                path, got=column, allowed=f"a column of {self.name}, from 0 to {num_columns - 1}"
            )
        return column


def read_table(
    data: bytes, name: str, *, has_header: bool, max_bytes: int | None = None, separator: str | None = None
) -> Table:
    """Read a table; the delimiter is the one of comma, tab, semicolon and bar that its first line has most, else space.

    Args:
        name: of its file; gzipped if it ends in `.gz`.
        max_bytes: largest size, unpacked.
        separator: of several labels in a cell, which is the delimiter only if the first line has no other; None if
            there is none.

    Raises:
        ConfigError: it is damaged, too large or empty, or its rows have different numbers of cells.
    """
    text = _decode(_unpack(data, name, max_bytes) if name.lower().endswith(".gz") else data, name)
    lines = text.splitlines()
    start = lines[0] if lines else ""
    likely = [each for each in DELIMITERS if each in start and each != separator]
    delimiter = max(likely or DELIMITERS, key=start.count)
    try:
        cells = (
            csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            if delimiter in start
            else map(str.split, lines)
        )
        rows = [[cell.strip() for cell in row] for row in cells if row]
    except csv.Error as reason:
        raise ConfigError(name, f"is not a table ({reason})", hint=HINT) from None
    header = rows.pop(0) if has_header and rows else []
    if not rows:
        raise ConfigError(name, "has no rows", hint="name another table")
    wanted = len(header or rows[0])
    for index, row in enumerate(rows):
        if len(row) != wanted:
            raise ConfigError(
                name,
                f"row {index + 1 + has_header} has {len(row)} cells, and the first {wanted}",
                hint="correct it; text that holds a delimiter must be in quotes",
            )
    return Table(name, header, rows, 1 + has_header)


def has_header(columns: Mapping[str, str | int | list[str | int]]) -> bool:
    """Return whether a table has a header: its columns are then told by name, else by number.

    Raises:
        ConfigError: some are told by name, others by number.
    """
    kinds = {
        type(column) for each in columns.values() for column in (each if isinstance(each, list) else [each])
    }
    if len(kinds) > 1:
        raise ConfigError(
            "data.columns",
            got=dict(columns),
            allowed="all names, where the table has a header, or all numbers, where it has none",
        )
    return kinds == {str}


def check_rows(
    table: Table,
    path: str,
    values: Sequence[str],
    is_wrong: Iterable[bool],
    problem: str,
    *,
    way: str = "fill it in, or remove the row",
) -> None:
    """Check that no row of a table is wrong.

    Args:
        path: config path of the setting that names the column.
        values: a cell of each row, which the error shows.
        is_wrong: whether each row is.
        problem: what is wrong, such as `name no file`.

    Raises:
        ConfigError: some are; the error has their number, and the first of them.
    """
    rows = [index for index, wrong in enumerate(is_wrong) if wrong]
    if rows:
        shown = f" ({values[rows[0]]})" if values[rows[0]] else ""
        raise ConfigError(
            path,
            f"rows of {table.name} that {problem}: {len(rows):,}, the first is row {table.first + rows[0]}{shown}",
            hint=way,
        )


def is_table(name: str) -> bool:
    """Return whether a file name has the suffix of a table."""
    return name.lower().endswith(SUFFIXES)


def _unpack(data: bytes, name: str, max_bytes: int | None) -> bytes:
    try:
        unpacker = zlib.decompressobj(GZIP)
        unpacked = unpacker.decompress(data, 0 if max_bytes is None else max_bytes)
    except zlib.error as reason:
        raise ConfigError(name, f"cannot be unpacked ({reason})", hint="restore an intact copy") from None
    if unpacker.unconsumed_tail:
        raise ConfigError(
            name,
            f"has more than data.max_file_bytes={max_bytes} bytes when unpacked",
            hint="raise data.max_file_bytes",
        )
    if not unpacker.eof:
        raise ConfigError(name, "is cut off", hint="restore an intact copy")
    return unpacked


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(name, "is not UTF-8", hint=HINT) from None
