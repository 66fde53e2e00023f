"""The printed table of scores."""

from __future__ import annotations

import math

import pytest

from pipeline.pages.scores import MOST, print_scores


def test_scores_have_titles_and_the_intervals_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {
        "accuracy": {"value": 0.98142, "low": 0.9621, "high": 0.991},
        "auroc": {"value": math.nan, "low": math.nan, "high": math.nan},
    }
    remark = "images left out of the means over images: " + "a" * 50
    print_scores("tiny (runs/1)", scores, {"accuracy": "accuracy", "auroc": "AUROC"}, {}, [remark])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "tiny (runs/1), split test",
        "score value 95 % interval",
        "accuracy 0.9814 0.9621 to 0.9910",
        "AUROC not defined",
        "images left out of the means over images:",
        "a" * 50,
    ]


def test_many_scores_are_counted_and_few_groups_and_other_data_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = {f"s{index}": {"value": 0.5, "low": math.nan, "high": math.nan} for index in range(MOST + 3)}
    row = {
        **{"data": "other", "split": "all", "images": 1234},
        **{"score_n": 3, "score_min": 0.25, "score_max": 0.75, "score_of": "Dice"},
    }
    print_scores("tiny (runs/1)", scores, {name: name for name in scores}, row, [])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny (runs/1), 1,234 images of other, split all"
    assert lines[-2] == "and 3 more"
    assert lines[-1] == "Dice of 3 groups, which are too few for intervals: 0.2500 to 0.7500"
    assert len(lines) == 2 + MOST + 2
    assert max(map(len, lines)) <= 80
