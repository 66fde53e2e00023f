"""The table of a sweep, on the terminal and as Markdown."""

import pytest

from pipeline.pages.comparison import MOST_ROWS, WIDTH, Comparison, Row, comparison_markdown, print_comparison

SEEDS = Row(
    "mirror",
    0.75,
    "0.5000 to 0.9000",
    "2 seeds",
    [Row("seed 0", 0.5, place="runs/a"), Row("seed 1", 1.0, place="runs/b")],
)
SWEEP = Comparison(
    "val/accuracy",
    "95 % interval",
    [SEEDS, Row("augmentation none", 0.25, place="runs/c")],
    ["a note"],
    [("lr=[1e30]", "training diverged")],
)


def test_table_has_a_row_for_each_run_and_a_line_for_each_failure(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(SWEEP, title="sweep digits: augmentation")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "",
        "sweep digits: augmentation",
        "run                val/accuracy  95 % interval     folder",
        "mirror                   0.7500  0.5000 to 0.9000  2 seeds",
        "  seed 0                 0.5000                    runs/a",
        "  seed 1                 1.0000                    runs/b",
        "augmentation none        0.2500                    runs/c",
        "a note",
        "failed: lr=[1e30]: training diverged",
    ]


def test_table_fits_80_columns_and_30_rows_and_says_where_the_others_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [Row("mirror, " * 12, 0.5, place=f"runs/{number:016x}") for number in range(MOST_ROWS + 5)]
    print_comparison(
        Comparison("val/balanced_accuracy", "95 % interval", rows), title="t", rest="comparison.md"
    )
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    assert f"runs/{MOST_ROWS - 1:016x}" in out
    assert f"runs/{MOST_ROWS:016x}" not in out
    assert out.splitlines()[-1] == "and 5 more rows in comparison.md"


def test_markdown_holds_all_rows_and_hides_passwords() -> None:
    page = comparison_markdown(
        SWEEP, title="sweep a|b", overrides=["data.root=https://me:secret@host/x", "seed=0,1"]
    )
    assert page.splitlines() == [
        r"# sweep a\|b",
        "",
        "    python -m pipeline.train -m data.root=https://***@host/x seed=0,1",
        "",
        "| run | val/accuracy | 95 % interval | folder |",
        "| --- | ---: | --- | --- |",
        "| mirror | 0.7500 | 0.5000 to 0.9000 | 2 seeds |",
        "|   seed 0 | 0.5000 |  | runs/a |",
        "|   seed 1 | 1.0000 |  | runs/b |",
        "| augmentation none | 0.2500 |  | runs/c |",
        "",
        "- a note",
        "- failed: lr=[1e30]: training diverged",
    ]
