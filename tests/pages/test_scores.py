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
    print_scores(
        "tiny (runs/1)", scores, {"accuracy": "accuracy", "auroc": "AUROC"}, {"score_of": "accuracy"}, {}
    )
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "tiny (runs/1), split test",
        "score value 95 % interval",
        "accuracy 0.9814 0.9621 to 0.9910",
        "AUROC nan",
        "selected by: accuracy",
    ]


def test_scores_stand_beside_those_of_always_guessing_the_majority(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = {
        "balanced_accuracy": {"value": 0.75, "low": 0.7, "high": 0.8},
        "auroc": {"value": 0.9, "low": math.nan, "high": math.nan},
    }
    guessed = {"class": "[b]healthy", "scores": {"balanced_accuracy": 0.5}}
    print_scores("tiny", scores, {name: name for name in scores}, {"score_of": "balanced accuracy"}, guessed)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        "score value 95 % interval majority",
        "balanced_accuracy 0.7500 0.7000 to 0.8000 0.5000",
        "auroc 0.9000",
        "majority: always guessing '[b]healthy', the most frequent class",
        "selected by: balanced accuracy",
    ]


def test_many_scores_are_counted_and_few_groups_and_other_data_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = {f"s{index}": {"value": 0.5, "low": math.nan, "high": math.nan} for index in range(MOST + 3)}
    row = {
        **{"data": "other", "split": "all", "images": 1234},
        **{"score_n": 3, "score_min": 0.25, "score_max": 0.75, "score_of": "Dice"},
    }
    print_scores("tiny (runs/1)", scores, {name: name for name in scores}, row, {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny (runs/1), 1,234 images of other, split all"
    assert lines[-3:-1] == ["and 3 more", "selected by: Dice"]
    assert lines[-1] == "Dice of 3 groups, which are too few for intervals: 0.2500 to 0.7500"
    assert len(lines) == 2 + MOST + 3
    assert max(map(len, lines)) <= 80
