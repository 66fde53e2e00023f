"""Intervals: bootstrap and Student's, against the normal approximation, repeatable, honest about NaN."""

import math

import numpy as np
import pytest

from pipeline.tasks.intervals import mean_interval, with_intervals


def share(evidence: np.ndarray) -> dict[str, float]:
    return {"share": float(evidence.mean())}


def hits(count: int, successes: int) -> np.ndarray:
    evidence = np.zeros((count, 1))
    evidence[:successes] = 1
    return evidence


@pytest.mark.parametrize(("count", "successes"), [(400, 320), (1000, 500), (300, 30)])
def test_interval_of_a_proportion_is_close_to_the_normal_one(count: int, successes: int) -> None:
    found = with_intervals(share, hits(count, successes), seed=0)["share"]
    p = successes / count
    half = 1.96 * math.sqrt(p * (1 - p) / count)
    assert found["value"] == pytest.approx(p)
    assert found["low"] == pytest.approx(p - half, abs=0.2 * half)
    assert found["high"] == pytest.approx(p + half, abs=0.2 * half)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    found = [
        with_intervals(share, (random.random((100, 1)) < 0.7).astype(float), seed=seed)["share"]
        for seed in range(100)
    ]
    covered = sum(each["low"] <= 0.7 <= each["high"] for each in found)
    assert 87 <= covered <= 99  # 95 expected, 2.2 is one standard deviation


def test_same_seed_gives_the_same_bounds_and_another_seed_others() -> None:
    evidence = np.random.default_rng(0).normal(size=(50, 1))
    first = with_intervals(share, evidence, seed=3)
    assert with_intervals(share, evidence, seed=3) == first
    assert with_intervals(share, evidence, seed=4) != first


def test_certain_score_has_an_interval_of_no_width() -> None:
    assert with_intervals(share, hits(30, 30), seed=0) == {"share": {"value": 1.0, "low": 1.0, "high": 1.0}}


def test_score_that_is_never_defined_has_no_bounds() -> None:
    found = with_intervals(lambda _: {"none": math.nan}, hits(10, 5), seed=0)["none"]
    assert all(math.isnan(found[key]) for key in ("value", "low", "high"))


def test_resamples_without_a_score_are_left_out() -> None:
    def rare(evidence: np.ndarray) -> dict[str, float]:
        found = evidence[evidence > 0]
        return {"rare": float(found.mean()) if found.size else math.nan}

    found = with_intervals(rare, hits(10, 1), seed=0)["rare"]  # a third of the resamples miss the only hit
    assert (found["value"], found["low"], found["high"]) == (1.0, 1.0, 1.0)


def test_samples_are_drawn_whole() -> None:
    evidence = np.repeat(np.arange(20.0)[:, None], 3, axis=1)

    def spread(rows: np.ndarray) -> dict[str, float]:
        return {"spread": float(np.ptp(rows, axis=1).max())}

    assert with_intervals(spread, evidence, seed=0)["spread"]["high"] == 0


def test_interval_of_a_mean_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    bounds = [mean_interval(random.normal(3, 2, 5).tolist()) for _ in range(2000)]
    covered = sum(low <= 3 <= high for _, low, high in bounds) / len(bounds)
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / len(bounds)))


def test_single_value_has_no_interval() -> None:
    mean, low, high = mean_interval([0.7])
    assert mean == 0.7
    assert math.isnan(low)
    assert math.isnan(high)
