"""Differences between methods in words and as a table: on the terminal, as Markdown and as CSV."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

from rich.console import Console
from rich.table import Table

from pipeline.pages.render import markdown_cell

WIDTH = 80  # columns of the terminal
SHOWN_ABOVE = 0.05  # of p, corrected for several comparisons
Bounds = tuple[float, float]
NONE = (nan, nan)
COLUMNS = (
    "method", "score", "seeds", "difference", "low", "high", "images_low", "images_high", "seeds_low", "seeds_high",
    "p", "p_holm", "only_first", "only_second", "verdict",
)  # fmt: skip


@dataclass(frozen=True)
class DifferenceRow:
    """A method, and how it differs from the first one.

    Args:
        name: of the method.
        value: its score, as a mean over seeds.
        seeds: those that are compared; of the first method, all.
        difference: its score minus that of the first method; NaN for the first.
        total: 95 % interval of the difference.
        images: the same over images alone.
        over_seeds: the same over seeds alone; NaN for one seed.
        p: of no difference.
        corrected: the same, corrected for several comparisons.
        only: how many images only the first, and only this model gets right; None if that is not counted.
        more_seeds: how many more seeds would show the difference; None if no number would.
    """

    name: str
    value: float
    seeds: Sequence[int]
    difference: float = nan
    total: Bounds = NONE
    images: Bounds = NONE
    over_seeds: Bounds = NONE
    p: float = nan
    corrected: float = nan
    only: tuple[int, int] | None = None
    more_seeds: int | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the difference is more than luck."""
        return self.corrected < SHOWN_ABOVE


@dataclass(frozen=True)
class DifferenceTable:
    """The first method, and the others beside it.

    Args:
        title: of the score.
        is_better_above: whether a higher score is better.
        rows: the first method comes first.
        images: number of test images.
        groups: how many groups they have; None if they are independent.
    """

    title: str
    is_better_above: bool
    rows: Sequence[DifferenceRow]
    images: int
    groups: int | None = None

    @property
    def others(self) -> Sequence[DifferenceRow]:
        """All methods but the first."""
        return self.rows[1:]

    def verdict(self, row: DifferenceRow) -> str:
        """Return in one sentence whether a method is better or worse than the first one, or why that is not known."""
        first = self.rows[0].name
        if isnan(row.p):
            return f"undecided: {row.name} minus {first} is {row.difference:+.4f} for one seed, without an interval"
        low, high = row.total
        limits = ""
        if len(row.seeds) == 1:
            limits = ", for these two trained models"
        elif isnan(row.images[0]):
            limits = ", on these images"
        if row.is_shown:
            is_better = (row.difference > 0) == self.is_better_above
            size, bounds = abs(row.difference), sorted((abs(low), abs(high)))
            word = "better" if is_better else "worse"
            return f"{row.name} is {word} than {first} by {size:.4f} ({bounds[0]:.4f} to {bounds[1]:.4f}){limits}"
        sentence = f"undecided: {row.name} minus {first} is between {low:+.4f} and {high:+.4f}{limits}"
        if low > 0 or high < 0:
            return f"{sentence}; too little for several comparisons, for which p is corrected"
        if len(row.seeds) == 1 or not row.difference:
            return sentence
        if row.more_seeds is None:
            return f"{sentence}; on these images, no number of seeds would show {abs(row.difference):.4f}"
        return (
            f"{sentence}; {row.more_seeds} more seed{'s' * (row.more_seeds > 1)} would show a difference of "
            f"{abs(row.difference):.4f} in four of five attempts"
        )

    def notes(self) -> list[str]:
        """Return what has to be known to read the table."""
        units = (
            f"{self.images:,} images"
            if self.groups is None
            else f"{self.images:,} images of {self.groups} groups"
        )
        several = any(len(row.seeds) > 1 for row in self.others)
        kinds = "test images and seeds" if several else "test images"
        notes = [
            f"difference: score minus that of {self.rows[0].name}; the interval is over {kinds}; {units}"
        ]
        for row in self.others if several else ():
            alone = [("images", row.images), ("seeds", row.over_seeds)]
            parts = [
                f"{_interval(bounds)} for the luck of {name} alone"
                for name, bounds in alone
                if not isnan(bounds[0])
            ]
            if parts:
                notes.append(f"{row.name}: {', '.join(parts)}")
        if all(isnan(row.images[0]) for row in self.others):
            notes.append("test images: no interval, there are too few groups of them or too many numbers")
        if any(len(row.seeds) == 1 for row in self.others):
            notes.append("one seed says nothing of other trainings; train more with -m seed=0,1,2,3,4")
        if len(self.others) > 1:
            notes.append(f"p is corrected for {len(self.others)} comparisons (Holm)")
        counted = [row for row in self.others if row.only is not None]
        for row in counted:
            assert row.only is not None
            notes.append(
                f"right only by {self.rows[0].name}: {row.only[0]:,} images, only by {row.name}: {row.only[1]:,} "
                "(McNemar's exact test)"
            )
        return notes


def print_differences(table: DifferenceTable) -> None:
    """Print a table of differences in 80 columns, and a verdict on each."""
    console = Console(file=sys.stdout, width=WIDTH, highlight=False)
    shown = Table(box=None, pad_edge=False, show_edge=False)
    head, *rows = _cells(table)
    for name in head:
        shown.add_column(
            name, justify="left" if name == "method" else "right", no_wrap=name != "method", overflow="fold"
        )
    for row in rows:
        shown.add_row(*row)
    console.print(shown, markup=False)
    for line in [*table.notes(), "", *map(table.verdict, table.others)]:
        console.print(line, markup=False)


def differences_markdown(table: DifferenceTable) -> str:
    """Return a table of differences, and a verdict on each, as Markdown."""
    head, *rows = _cells(table)
    cells = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    lines = [f"| {' | '.join(map(markdown_cell, row))} |" for row in cells]
    verdicts = [f"- **{markdown_cell(table.verdict(row))}**" for row in table.others]
    notes = [f"- {markdown_cell(note)}" for note in table.notes()]
    return "\n".join([*verdicts, "", *lines, "", *notes]) + "\n"


def difference_rows(table: DifferenceTable) -> list[list[str]]:
    """Return a row of `COLUMNS` for each method; cells without a number are empty."""
    rows = []
    for row in table.rows:
        numbers = [row.difference, *row.total, *row.images, *row.over_seeds, row.p, row.corrected]
        only = ("", "") if row.only is None else tuple(map(str, row.only))
        verdict = "" if isnan(row.difference) else table.verdict(row)
        seeds = " ".join(map(str, row.seeds))
        rows.append([row.name, _number(row.value), seeds, *map(_number, numbers), *only, verdict])
    return rows


def _cells(table: DifferenceTable) -> list[list[str]]:
    rows = [["method", table.title, "seeds", "difference", "95 % interval", "p"]]
    for row in table.rows:
        p = "" if isnan(row.corrected) else f"{row.corrected:.3f}" if row.corrected >= 0.001 else "<0.001"
        difference = "" if isnan(row.difference) else f"{row.difference:+.4f}"
        rows.append([row.name, f"{row.value:.4f}", str(len(row.seeds)), difference, _interval(row.total), p])
    return rows


def _interval(bounds: Bounds) -> str:
    return "" if isnan(bounds[0]) else f"{bounds[0]:+.3f} to {bounds[1]:+.3f}"


def _number(value: float) -> str:
    return "" if isnan(value) else f"{value:.6g}"
