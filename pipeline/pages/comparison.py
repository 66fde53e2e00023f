"""The table that a sweep or a search ends with, best first: on the terminal, and as Markdown."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan

from rich.console import Console
from rich.table import Table

from pipeline.errors import redact
from pipeline.pages.render import markdown_cell

PAGE = "comparison.md"  # in the folder of a sweep or search
WIDTH = 80  # columns of the terminal
MOST_ROWS = 30  # on it
INDENT = "  "


@dataclass(frozen=True)
class Row:
    """A run, or runs that differ only in their seed.

    Args:
        name: what differs from the other rows.
        value: the score, or its mean over the runs.
        spread: interval or error of the mean; empty for a single run.
        place: folder of the run, or how many there are.
        parts: the row of each run, if there are several.
    """

    name: str
    value: float
    spread: str = ""
    place: str = ""
    parts: Sequence[Row] = ()


@dataclass(frozen=True)
class Comparison:
    """What came of a sweep or a search.

    Args:
        score: name of the score that ranks the rows.
        spread: what the spread of a row is, such as `95 % interval`.
        rows: best first.
        notes: sentences that follow the table.
        failures: name and reason of each run that failed.
    """

    score: str
    spread: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    failures: Sequence[tuple[str, str]] = ()

    def lines(self) -> list[str]:
        """Return what follows the table, one line for each note and failure."""
        return [*self.notes, *(f"failed: {name}: {reason}" for name, reason in self.failures)]


def print_comparison(comparison: Comparison, *, title: str, rest: str = "") -> None:
    """Print a comparison in 80 columns.

    Args:
        rest: where the rows are that are too many to print.
    """
    console = Console(file=sys.stdout, width=WIDTH, highlight=False)
    console.print(f"\n{title}", markup=False, soft_wrap=True)
    rows = list(_flat(comparison.rows))
    if rows:
        table = Table(box=None, pad_edge=False, show_edge=False)
        has_spread = any(row.spread for row in rows)
        for head in ("run", comparison.score, *([comparison.spread] if has_spread else []), "folder"):
            table.add_column(head, no_wrap=head != "run", overflow="fold")
        table.columns[1].justify = "right"
        for row in rows[:MOST_ROWS]:
            table.add_row(*_cells(row, has_spread=has_spread))
        console.print(table, markup=False)
    if len(rows) > MOST_ROWS:
        console.print(f"and {len(rows) - MOST_ROWS} more rows in {rest}", markup=False, soft_wrap=True)
    for line in comparison.lines():
        console.print(line, markup=False, soft_wrap=True)


def comparison_markdown(comparison: Comparison, *, title: str, overrides: Sequence[str]) -> str:
    """Return a comparison as a page of Markdown.

    Args:
        overrides: of the command that makes it.
    """
    command = f"python -m pipeline.train -m {redact(shlex.join(overrides))}"
    rows = list(_flat(comparison.rows))
    has_spread = any(row.spread for row in rows)
    head = ["run", comparison.score, *([comparison.spread] if has_spread else []), "folder"]
    table = [head, ["---", "---:", *["---"] * (len(head) - 2)]]
    table += [_cells(row, has_spread=has_spread) for row in rows]
    lines = [f"| {' | '.join(map(markdown_cell, cells))} |" for cells in table] if rows else []
    notes = [f"- {markdown_cell(line)}" for line in comparison.lines()]
    parts = [f"# {markdown_cell(title)}", f"    {command}", "\n".join(lines), "\n".join(notes)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _flat(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield each row, and below it its parts, indented."""
    for row in rows:
        yield row
        for part in row.parts:
            yield Row(INDENT + part.name, part.value, part.spread, part.place)


def _cells(row: Row, *, has_spread: bool) -> list[str]:
    value = "not defined" if isnan(row.value) else f"{row.value:.4f}"
    return [row.name, value, *([row.spread] if has_spread else []), row.place]
