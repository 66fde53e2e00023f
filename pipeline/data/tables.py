"""Tables of labels or pixels: CSV or TSV, with or without a header, plain or gzipped."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from unicodedata import normalize

from pipeline.errors import ConfigError

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DELIMITERS = ",\t;|"
SHOWN = 5  # wrong rows of a kind that an error shows
HINT = "save it as CSV in UTF-8"
GZIP = 16 + zlib.MAX_WBITS  # tells zlib to expect the header of gzip


@dataclass(frozen=True)
class Table:
    """The rows of a table; all have the same number of cells.

    Args:
        name: of its file, for errors.
        header: names of the columns; empty if it has none.
        lines: of the file, counted from 1, in which the rows begin.
    """

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]

    def find(self, column: str | int, *, path: str) -> int:
        """Return the index of a column.

        Args:
            column: its name in the header, or its number, counted from 0, in a table without one.
            path: config path of the setting that names it.

        Raises:
            ConfigError: there is no such column, or several have the name.
        """
        if isinstance(column, str):
            column = normalize("NFC", column)
            if column not in self.header:
                raise ConfigError.unknown(path, column, self.header, what=f"column of {self.name}:")
            if self.header.count(column) > 1:
                problem = f"several columns of {self.name} have the name"
                raise ConfigError(path, problem, got=column, hint="rename all but one of them")
            return self.header.index(column)
        num_columns = len(self.rows[0])
        if not 0 <= column < num_columns:
            raise ConfigError(
                path, got=column, allowed=f"a column of {self.name}, from 0 to {num_columns - 1}"
            )
        return column


class RowErrors:
    """The wrong rows of a table, of which one error tells all.

    A row is wrong in one way, the first that is noted.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._seen: set[int] = set()
        self._found: list[
            tuple[str, str, str]
        ] = []  # config path, what is wrong with which rows, and the way out

    def note(
        self,
        path: str,
        values: Iterable[str],
        is_wrong: Iterable[bool],
        problem: str,
        *,
        way: str = "fill it in, or remove the row",
    ) -> None:
        """Note the rows that are wrong in one way.

        Args:
            path: config path of the setting that names the column.
            values: what to show of each row.
            is_wrong: whether each row is wrong.
            problem: what is wrong with them, such as `name no file`.
            way: the way out.
        """
        wrong = [
            (index, value)
            for index, (value, each) in enumerate(zip(values, is_wrong, strict=True))
            if each and index not in self._seen
        ]
        if not wrong:
            return
        self._seen.update(index for index, _ in wrong)
        shown = [f"row {self._table.lines[index]}{value and f': {value}'}" for index, value in wrong[:SHOWN]]
        more = ", ..." if len(wrong) > SHOWN else ""
        self._found.append((path, f"that {problem}: {len(wrong):,} ({', '.join(shown)}{more})", way))

    def check(self) -> None:
        """Raise if rows are wrong.

        Raises:
            ConfigError: it tells how many are wrong in which way, and the first of them.
        """
        if self._found:
            problems = ", and ".join(problem for _, problem, _ in self._found)
            ways = dict.fromkeys(way for _, _, way in self._found)
            path = self._found[0][0]
            of_table = "" if path == self._table.name else f" of {self._table.name}"
            raise ConfigError(path, f"rows{of_table} {problems}", hint="; ".join(ways))


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
        found = _number_rows(text, delimiter) if delimiter in start else enumerate(map(str.split, lines), 1)
        numbered = [(line, [cell.strip() for cell in row]) for line, row in found if row]
    except csv.Error as reason:
        raise ConfigError(name, f"is not a table ({reason})", hint=HINT) from None
    header = numbered.pop(0)[1] if has_header and numbered else []
    if not numbered:
        raise ConfigError(name, "has no rows", hint="name another table")
    rows = [row for _, row in numbered]
    table, wanted = Table(name, header, rows, [line for line, _ in numbered]), len(header or rows[0])
    errors = RowErrors(table)
    errors.note(
        name,
        (f"{len(row)} cells" for row in rows),
        (len(row) != wanted for row in rows),
        f"have another number of cells than the first, which has {wanted}",
        way="correct them; text that holds a delimiter must be in quotes",
    )
    errors.check()
    return table


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


def is_number(*cells: str) -> bool:
    """Return whether all of some cells are finite numbers."""
    try:
        return all(isfinite(float(cell)) for cell in cells)
    except ValueError:
        return False


def is_table(name: str) -> bool:
    """Return whether a file name has the suffix of a table."""
    return name.lower().endswith(SUFFIXES)


def _number_rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table with the lines in which they begin; an empty line is a row without cells."""
    rows, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1
    for row in rows:
        yield line, row
        line = rows.line_num + 1


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
    """Return the text of a table in Unicode form NFC, as names are compared."""
    try:
        return normalize("NFC", data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(name, "is not UTF-8", hint=HINT) from None
