"""The ranking score of a trial: numbers worked by hand, and an order that ignores what has no value."""

from dataclasses import replace
from math import inf, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweeps.ledger import Trial
from pipeline.sweeps.objective import finished, mean_and_error, ranked, ranking_score

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)


def trial(index: int, *values: float, state: str = "finished") -> Trial:
    return Trial(index, {}, state=state, values=list(values))


def test_mean_and_error_of_1_2_3_are_2_and_1_over_root_3() -> None:
    # Deviations -1, 0, 1: variance 2 / (3 - 1) = 1, so the error of the mean is sqrt(1 / 3).
    assert mean_and_error([1.0, 2.0, 3.0]) == (2.0, pytest.approx(1 / sqrt(3)))
    assert mean_and_error([0.7]) == (0.7, 0.0)


@pytest.mark.parametrize(
    ("direction", "wanted"), [("maximize", 2 - 1 / sqrt(3)), ("minimize", -2 - 1 / sqrt(3))]
)
def test_ranking_score_takes_the_error_off_in_either_direction(direction: str, wanted: float) -> None:
    assert ranking_score(trial(0, 1.0, 2.0, 3.0), direction=direction) == pytest.approx(wanted)


@given(values=VALUES)
def test_minimizing_is_maximizing_the_opposite(values: list[float]) -> None:
    opposite = trial(0, *(-value for value in values))
    assert ranking_score(trial(0, *values), direction="minimize") == pytest.approx(
        ranking_score(opposite, direction="maximize")
    )


@given(values=VALUES)
def test_spread_never_adds_to_the_ranking_score(values: list[float]) -> None:
    mean, error = mean_and_error(values)
    assert error >= 0
    assert ranking_score(trial(0, *values), direction="maximize") <= mean


def test_only_trials_with_finite_values_count() -> None:
    good = [trial(0, 1.0), trial(4, 0.5, 0.6)]
    bad = [
        trial(1, nan),
        trial(2, inf),
        trial(3, 1.0, nan),
        trial(5, state="running"),
        trial(6, state="failed"),
    ]
    mixed = sorted([*good, *bad], key=lambda each: each.index)
    assert finished(mixed) == good
    assert ranked(mixed, direction="maximize") == good


def test_best_come_first_and_of_equals_the_earlier() -> None:
    trials = [trial(0, 0.5), trial(1, 0.9), trial(2, 0.5), trial(3, 0.1)]
    assert [each.index for each in ranked(reversed(trials), direction="maximize")] == [1, 0, 2, 3]
    assert [each.index for each in ranked(reversed(trials), direction="minimize")] == [3, 0, 2, 1]


def test_of_equals_the_one_of_the_lower_loss_comes_first() -> None:
    losses = ([0.3], [0.1, 0.2], [], [0.2])
    trials = [replace(trial(index, 0.5), losses=each) for index, each in enumerate(losses)]
    for direction in ("maximize", "minimize"):
        assert [each.index for each in ranked(trials, direction=direction)] == [1, 3, 0, 2]


def test_steady_trial_beats_a_lucky_one_of_the_same_mean() -> None:
    lucky, steady = trial(0, 0.4, 0.8), trial(1, 0.6, 0.6)
    for direction in ("maximize", "minimize"):
        assert ranked([lucky, steady], direction=direction)[0] is steady
