"""Differences between methods in words: verdicts, notes, and a table that fits the terminal."""

from __future__ import annotations

import pytest

from pipeline.pages.differences import (
    COLUMNS,
    DifferenceRow,
    DifferenceTable,
    difference_rows,
    differences_markdown,
    print_differences,
)

FIRST = DifferenceRow("a", 0.9, [0, 1, 2])
BETTER = DifferenceRow(
    "b", 0.912, [0, 1, 2], 0.012, (0.003, 0.021), (0.005, 0.019), (0.004, 0.02), 0.01, 0.02, more_seeds=None
)
OPEN = DifferenceRow(
    "c", 0.895, [0, 1, 2], -0.005, (-0.02, 0.01), (-0.01, 0.002), (-0.019, 0.009), 0.3, 0.3, more_seeds=4
)
ALONE = DifferenceRow(
    "d", 0.85, [0], -0.05, (-0.08, -0.02), (-0.08, -0.02), p=0.001, corrected=0.001, only=(12, 2)
)


def table(*others: DifferenceRow, is_better_above: bool = True, groups: int | None = None) -> DifferenceTable:
    return DifferenceTable("accuracy", is_better_above, [FIRST, *others], 380, groups)


@pytest.mark.parametrize(
    ("row", "is_better_above", "verdict"),
    [
        (BETTER, True, "b is better than a by 0.0120 (0.0030 to 0.0210)"),
        (BETTER, False, "b is worse than a by 0.0120 (0.0030 to 0.0210)"),
        (ALONE, True, "d is worse than a by 0.0500 (0.0200 to 0.0800), for these two trained models"),
        (OPEN, True, "undecided: c minus a is between -0.0200 and +0.0100; 4 more seeds would show a difference of "
         "0.0050 in four of five attempts"),
    ],
)  # fmt: skip
def test_verdict_is_a_sentence_with_figures(row: DifferenceRow, is_better_above: bool, verdict: str) -> None:
    assert table(row, is_better_above=is_better_above).verdict(row) == verdict


def test_verdict_says_what_it_does_not_cover() -> None:
    nan = float("nan")
    no_seeds = DifferenceRow("e", 0.8, [0, 1], -0.1, (-0.3, 0.1), (-0.2, 0.0), (-0.3, 0.1), 0.2, 0.2)
    assert (
        table(no_seeds).verdict(no_seeds).endswith("; on these images, no number of seeds would show 0.1000")
    )
    corrected = DifferenceRow("h", 0.8, [0, 1], -0.1, (-0.19, -0.01), (-0.2, 0.0), (-0.3, 0.1), 0.03, 0.06)
    assert table(corrected).verdict(corrected) == (
        "undecided: h minus a is between -0.1900 and -0.0100; too little for several comparisons, for which p is "
        "corrected"
    )
    few_groups = DifferenceRow("f", 0.8, [0, 1], -0.1, (-0.12, -0.08), (nan, nan), (-0.12, -0.08), 0.01, 0.01)
    assert (
        table(few_groups, groups=3).verdict(few_groups)
        == "f is worse than a by 0.1000 (0.0800 to 0.1200), on these images"
    )
    nothing = DifferenceRow("g", 0.8, [0], -0.1)
    assert (
        table(nothing, groups=3).verdict(nothing)
        == "undecided: g minus a is -0.1000 for one seed, without an interval"
    )


def test_differences_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_differences(table(BETTER, OPEN, groups=12))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["method", "accuracy", "seeds", "difference", "95", "%", "interval", "p"]
    assert lines[1].split() == ["a", "0.9000", "3"]
    assert lines[2].split() == ["b", "0.9120", "3", "+0.0120", "+0.003", "to", "+0.021", "0.020"]
    text = " ".join(lines)
    assert "380 images of 12 groups" in text
    assert "p is corrected for 2 comparisons (Holm)" in text
    assert lines[-3] == "b is better than a by 0.0120 (0.0030 to 0.0210)"


def test_markdown_begins_with_the_verdicts() -> None:
    page = differences_markdown(table(BETTER))
    assert page.startswith("- **b is better than a by 0.0120 (0.0030 to 0.0210)**\n\n| method | accuracy |")
    assert (
        "- b: +0.005 to +0.019 for the luck of images alone, +0.004 to +0.020 for the luck of seeds alone\n"
        in page
    )


def test_rows_hold_every_number_and_leave_out_what_is_not_known() -> None:
    first, row = (dict(zip(COLUMNS, each, strict=True)) for each in difference_rows(table(ALONE)))
    assert (first["difference"], first["verdict"]) == ("", "")
    assert (row["seeds"], row["low"], row["seeds_low"], row["only_first"], row["only_second"]) == (
        "0",
        "-0.08",
        "",
        "12",
        "2",
    )
