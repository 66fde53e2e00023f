"""The findings of checks: as a table on the terminal, as Markdown, and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.errors import DamagedFileError
from pipeline.files import read_json
from pipeline.pages.render import markdown_cell

WIDTH = 100  # columns, where the output is not a terminal
OF_THE_MACHINE = ("memory", "speed")
STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red"}


@dataclass(frozen=True)
class FindingRow:
    """The finding of a check.

    Args:
        check: its name for machines.
        title: its name for people.
        verdict: ok, warning, fault or not applicable.
        figure: what was measured, in words.
        advice: what to do; empty where nothing is to be done.
        numbers: what was measured.
    """

    check: str
    title: str
    verdict: str
    figure: str
    advice: str
    numbers: Mapping[str, float]

    def plain(self) -> dict[str, Any]:
        """Return it as values of JSON, which has no NaN."""
        numbers = {name: value if isfinite(value) else None for name, value in self.numbers.items()}
        return {**vars(self), "numbers": numbers}


def read_findings(folder: Path, *, declaration: str | None) -> list[FindingRow]:
    """Return the findings in a folder that `check` has written; none if they are of another declaration.

    What is measured in seconds and bytes is left out, as it differs from machine to machine.

    Args:
        declaration: its digest.

    Raises:
        DamagedFileError: the file holds no findings.
    """
    file = folder / "check.json"
    if not file.is_file():
        return []
    found = read_json(file)
    if found.get("declaration") != declaration:
        return []
    try:
        return [FindingRow(**each) for each in found["checks"] if each["check"] not in OF_THE_MACHINE]
    except (KeyError, TypeError):
        raise DamagedFileError(file, "holds no findings of `python -m pipeline.check`") from None


def print_findings(rows: Sequence[FindingRow]) -> None:
    """Print a table of findings, and what to do about those that are not in order."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False, show_edge=False)
    for name in ("check", "verdict", "figure"):
        table.add_column(name, overflow="fold")
    for row in rows:
        style = STYLES.get(row.verdict, "dim")
        table.add_row(row.title, f"[{style}]{row.verdict}[/]", _escaped(row.figure))
        if row.advice:
            table.add_row("", "", f"[{style}]{_escaped(row.advice)}[/]")
    console.print(table)
    first = next((row.title for row in rows if row.verdict == "fault"), None)
    begin = "" if first is None else f"; begin with the first fault, {first}: the others may follow from it"
    console.print(f"\n{summarise(rows)}{begin}", markup=False)


def summarise(rows: Sequence[FindingRow]) -> str:
    """Return in one sentence how many checks found something."""
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in ("fault", "warning")}
    found = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count]
    applied = sum(row.verdict != "not applicable" for row in rows)
    return f"{applied} checks: {' and '.join(found) or 'nothing is wrong'}"


def findings_markdown(rows: Sequence[FindingRow]) -> str:
    """Return a table of findings as Markdown."""
    cells = [["check", "verdict", "figure", "what to do"], ["---"] * 4]
    cells += [[row.title, row.verdict, row.figure, row.advice] for row in rows]
    lines = [f"| {' | '.join(map(markdown_cell, row))} |" for row in cells]
    return "\n".join([summarise(rows), "", *lines]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
