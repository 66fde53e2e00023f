"""Student's interval of the mean over trainings: its coverage, and bounds that it does not cross."""

import math

import numpy as np
import pytest

from pipeline.tasks.intervals import mean_interval


def test_interval_of_a_mean_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    bounds = [mean_interval(random.normal(3, 2, 5).tolist()) for _ in range(2000)]
    covered = sum(low <= 3 <= high for _, low, high in bounds) / len(bounds)
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / len(bounds)))


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_single_value_has_no_interval(bounds: tuple[float, float] | None) -> None:
    mean, low, high = mean_interval([0.7], bounds=bounds)
    assert mean == 0.7
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize(
    "values", [[0.1, 0.97, 0.98, 0.96, 0.99], [0.1, 0.99], [0, 1], [1, 1, 0.9], [0.0, 0.0, 0.001]]
)
def test_interval_of_a_bounded_score_stays_inside_and_holds_its_mean(values: list[float]) -> None:
    mean, low, high = mean_interval(values, bounds=(0.0, 1.0))
    assert mean == pytest.approx(np.mean(values))
    assert 0 <= low < mean < high <= 1


def test_interval_on_the_scale_of_the_logit_is_the_one_worked_by_hand() -> None:
    # Mean 0.8, standard error 0.1 / sqrt(3); Student's quantile of 2 degrees of freedom is 4.302653; the slope of the
    # logit at 0.8 is 1 / (0.8 x 0.2), the logit of 0.8 the logarithm of 4.
    half = 4.302653 * 0.1 / math.sqrt(3) / 0.16
    wanted = [1 / (1 + math.exp(-(math.log(4) + side * half))) for side in (-1, 1)]
    _, low, high = mean_interval([0.7, 0.8, 0.9], bounds=(0.0, 1.0))
    assert (low, high) == pytest.approx(tuple(wanted), rel=1e-6)
    _, low, high = mean_interval([70, 80, 90], bounds=(0.0, 100.0))
    assert (low, high) == pytest.approx((100 * wanted[0], 100 * wanted[1]), rel=1e-6)


def test_narrow_interval_is_almost_the_plain_one() -> None:
    values = [0.9001, 0.9003, 0.9002, 0.8999]
    assert mean_interval(values, bounds=(0.0, 1.0)) == pytest.approx(mean_interval(values), abs=2e-6)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_values_have_an_interval_of_no_width(value: float) -> None:
    assert mean_interval([value] * 3, bounds=(0.0, 1.0)) == (value, value, value)


def test_score_without_bounds_keeps_the_plain_interval() -> None:
    _, low, high = mean_interval([0.5, 2.5])
    assert low < 0
    assert low + high == pytest.approx(3.0)


@pytest.mark.parametrize(("hits", "misses"), [(60, 3), (9, 1)])
def test_interval_of_a_bounded_score_covers_the_truth(hits: float, misses: float) -> None:
    random = np.random.default_rng(0)
    truth = hits / (hits + misses)
    found = [mean_interval(random.beta(hits, misses, 5).tolist(), bounds=(0.0, 1.0)) for _ in range(2000)]
    covered = np.mean([low <= truth <= high for _, low, high in found])
    assert 0.925 < covered < 0.975
