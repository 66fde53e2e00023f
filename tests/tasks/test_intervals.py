"""Intervals over test units: against scipy's, against simulations of our own, repeatable, honest about NaN."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline.tasks.intervals import (
    bca_bounds,
    clustered_bounds,
    expanded_tail,
    scores_of_groups,
    wilson_bounds,
    with_intervals,
)


def share(evidence: np.ndarray) -> dict[str, float]:
    return {"share": float(evidence.mean())}


def hits(count: int, successes: int) -> np.ndarray:
    evidence = np.zeros((count, 1))
    evidence[:successes] = 1
    return evidence


def bounds(found: dict[str, dict[str, float]], name: str = "share") -> tuple[float, float]:
    return found[name]["low"], found[name]["high"]


@pytest.mark.parametrize(("count", "successes"), [(1, 1), (50, 49), (100, 100), (100, 0), (360, 347), (3, 2)])
def test_interval_of_a_share_is_scipys_wilson(count: int, successes: int) -> None:
    found = with_intervals(share, hits(count, successes), seed=0, shares=["share"])
    wanted = stats.binomtest(successes, count).proportion_ci(method="wilson")
    assert found["share"]["value"] == successes / count
    assert bounds(found) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert 0 <= found["share"]["low"] < found["share"]["high"] <= 1


@pytest.mark.parametrize(("count", "truth"), [(50, 0.9), (100, 0.7), (360, 0.965), (1000, 0.99)])
def test_interval_of_a_share_covers_it_between_93_and_97_times_in_100(count: int, truth: float) -> None:
    drawn = np.random.default_rng(0).binomial(count, truth, 20_000) / count
    covered = [low <= truth <= high for low, high in (wilson_bounds(float(each), count) for each in drawn)]
    assert 0.925 < np.mean(covered) < 0.975


@pytest.mark.parametrize("count", [12, 60, 150])
def test_interval_of_a_mean_is_scipys_bca_with_students_tails(count: int) -> None:
    evidence = np.random.default_rng(count).lognormal(0, 1, (count, 1))  # skewed
    found = with_intervals(share, evidence, seed=0)
    quantile = stats.t.ppf(0.975, count - 1) * math.sqrt(count / (count - 1))
    level = 1 - 2 * stats.norm.sf(quantile)
    wanted = stats.bootstrap(
        (evidence[:, 0],), np.mean, method="BCa", confidence_level=level, n_resamples=20_000, rng=1
    )
    error = wanted.standard_error
    low, high = wanted.confidence_interval
    assert bounds(found) == pytest.approx(
        (low, high), abs=0.25 * error
    )  # 2000 resamples tell the tails so well
    assert high - evidence.mean() > 1.2 * (evidence.mean() - low), "the interval leans to the long tail"


def test_same_resamples_give_scipys_bca_bounds() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    drawn = np.random.default_rng(5).integers(0, 40, (3000, 40))
    wanted = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=3000, rng=np.random.default_rng(5), vectorized=True
    )
    means = values[drawn].mean(axis=1)
    np.testing.assert_allclose(means, wanted.bootstrap_distribution)
    left_out = np.array([np.delete(values, place).mean() for place in range(40)])
    found = bca_bounds(values.mean(), means, left_out, tail=0.025)
    assert found == pytest.approx(tuple(wanted.confidence_interval), rel=1e-9)


def test_expanded_tail_of_many_units_is_the_nominal_one_and_that_of_few_is_smaller() -> None:
    assert expanded_tail(1e6) == pytest.approx(0.025, rel=1e-4)
    # Student's quantile of 9 degrees of freedom is 2.262; times sqrt(10 / 9) 2.385, beyond which lie 0.854 %.
    assert expanded_tail(10) == pytest.approx(0.00854, abs=1e-4)


def test_interval_of_a_skewed_score_covers_the_truth_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(0), 0
    for seed in range(100):
        low, high = bounds(with_intervals(share, random.beta(6, 1, (50, 1)), seed=seed))
        covered += low <= 6 / 7 <= high
    assert covered / 100 == pytest.approx(0.95, abs=0.065)  # three standard errors


def test_blocks_of_the_jackknife_tell_the_acceleration_as_well_as_single_images() -> None:
    values = np.random.default_rng(0).lognormal(0, 1, 2000)
    means = np.random.default_rng(1).choice(values, (2000, 2000)).mean(axis=1)
    order = np.random.default_rng(2).permutation(2000)
    single = np.array([np.delete(values, place).mean() for place in range(2000)])
    blocks = np.array([np.delete(values, block).mean() for block in np.array_split(order, 200)])
    by_image, by_block = (bca_bounds(values.mean(), means, each, tail=0.025) for each in (single, blocks))
    assert by_block == pytest.approx(by_image, abs=0.03 * values.std() / 2000**0.5 * 3.92)


def test_large_split_needs_no_more_than_200_evaluations_of_its_jackknife() -> None:
    sizes = []

    def counted(evidence: np.ndarray) -> dict[str, float]:
        sizes.append(len(evidence))
        return share(evidence)

    with_intervals(counted, np.random.default_rng(0).normal(size=(5000, 1)), seed=0)
    assert sorted(set(sizes)) == [4975, 5000]
    assert sizes.count(4975) == 200


def test_same_seed_gives_the_same_bounds_and_another_seed_others() -> None:
    evidence = np.random.default_rng(0).normal(size=(50, 1))
    first = with_intervals(share, evidence, seed=3)
    assert with_intervals(share, evidence, seed=3) == first
    assert with_intervals(share, evidence, seed=4) != first


def rare(evidence: np.ndarray) -> dict[str, float]:
    """Return the mean of the values above 0, which a resample may lack."""
    found = evidence[evidence > 0]
    return {"share": float(found.mean()) if found.size else math.nan}


@pytest.mark.parametrize(
    ("evidence", "changed"),
    [
        (np.ones((30, 1)), {}),  # the same in all resamples: nothing tells how much it varies
        (np.full((30, 1), 0.1), {}),  # whose mean is rounded
        (np.full((30, 1), math.nan), {}),
        (np.full((30, 1), math.nan), {"shares": ["share"]}),
        (np.arange(30.0)[:, None], {"biased": ["share"]}),
        (np.arange(9.0)[:, None], {}),  # too few
        (np.arange(90.0)[:, None], {"groups": list("abcdefghi") * 10}),
        (hits(90, 30), {"groups": list("abcdefghi") * 10, "shares": ["share"]}),
    ],
)
def test_score_has_no_bounds_where_none_can_be_trusted(evidence: np.ndarray, changed: dict[str, Any]) -> None:
    found = with_intervals(share, evidence, seed=0, **changed)
    assert all(math.isnan(each) for each in bounds(found))
    np.testing.assert_equal(found["share"]["value"], float(evidence.mean()))


def test_resamples_without_a_score_are_left_out() -> None:
    evidence = np.zeros((12, 1))
    evidence[:2, 0] = 1, 2  # (5 / 6) ** 12 = 0.11 of the resamples miss both
    low, high = bounds(with_intervals(rare, evidence, seed=0))
    assert (low, high) == (1, 2)


def test_samples_are_drawn_whole() -> None:
    evidence = np.repeat(np.arange(20.0)[:, None], 3, axis=1)

    def kept(rows: np.ndarray) -> dict[str, float]:
        assert np.ptp(rows, axis=1).max() == 0
        return {"share": float(rows.mean())}

    with_intervals(kept, evidence, seed=0)


def in_groups(random: np.random.Generator, num_groups: int, size: int) -> tuple[np.ndarray, list[str]]:
    """Images whose values are mostly those of their group, around 0, in no order."""
    values = random.normal(size=(num_groups, 1)) + 0.3 * random.normal(size=(num_groups, size))
    names = np.repeat([f"w{group}" for group in range(num_groups)], size)
    order = random.permutation(len(names))
    return values.reshape(-1, 1)[order], list(names[order])


def test_groups_are_drawn_whole() -> None:
    evidence, groups = in_groups(np.random.default_rng(0), 12, 5)
    sizes = {value: group for (value,), group in zip(evidence, groups, strict=True)}
    seen = []

    def kept(rows: np.ndarray) -> dict[str, float]:
        counts: dict[str, dict[float, int]] = {}
        for (value,) in rows:
            own = counts.setdefault(sizes[value], {})
            own[value] = own.get(value, 0) + 1
        seen.extend(own for own in counts.values())
        return share(rows)

    with_intervals(kept, evidence, seed=0, groups=groups)
    assert all(len(own) == 5 and len(set(own.values())) == 1 for own in seen)


def test_interval_over_groups_covers_the_truth_where_one_over_images_does_not() -> None:
    covered = np.zeros(2)
    for seed in range(60):
        evidence, groups = in_groups(np.random.default_rng(seed), 13, 20)
        for place, given in enumerate((groups, None)):
            low, high = bounds(with_intervals(share, evidence, seed=seed, groups=given))
            covered[place] += low <= 0 <= high
    over_groups, over_images = covered / 60
    assert over_groups == pytest.approx(0.95, abs=0.085)  # three standard errors
    assert over_images < 0.6


@pytest.mark.parametrize(("truth", "likeness"), [(0.9, 0.1), (0.7, 0.0), (0.965, 0.05)])
def test_interval_of_a_share_over_groups_covers_the_truth(truth: float, likeness: float) -> None:
    """Hits of a group share a chance from a beta distribution, whose intraclass correlation is `likeness`."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        sizes = random.integers(10, 40, 20)
        chances = np.full(20, truth)
        if likeness:
            chances = random.beta(truth * (1 / likeness - 1), (1 - truth) * (1 / likeness - 1), 20)
        successes = random.binomial(sizes, chances)
        low, high = clustered_bounds(successes / sizes, sizes.astype(float))
        covered += low <= truth <= high
    assert 0.925 < covered / 2000 < 0.975


def test_bounds_of_a_share_over_groups_are_those_worked_by_hand() -> None:
    # 10 groups of 4: five of 4 hits, five of 2. Leaving one out changes 0.75 by 4 x 0.25 / 36, either way; variance
    # 9 / 10 x 10 x (1 / 36) ** 2 = 1 / 144; so 0.75 x 0.25 x 144 = 27 images say as much; Student's quantile is 2.2622.
    groups = [f"w{place // 4}" for place in range(40)]
    evidence = (
        np.array([4 * [1] if group % 2 else [1, 0, 1, 0] for group in range(10)]).reshape(-1, 1).astype(float)
    )
    found = bounds(with_intervals(share, evidence, seed=0, shares=["share"], groups=groups))
    t, n, p = 2.262157, 27, 0.75
    half = t * math.sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    wanted = [(p + t**2 / (2 * n) + side * half) / (1 + t**2 / n) for side in (-1, 1)]
    assert found == pytest.approx(tuple(wanted), abs=1e-6)


def test_groups_without_any_error_count_as_one_image_each() -> None:
    evidence, groups = np.ones((200, 1)), [f"w{place % 10}" for place in range(200)]
    low, high = bounds(with_intervals(share, evidence, seed=0, shares=["share"], groups=groups))
    assert high == 1
    assert low == pytest.approx(1 / (1 + 2.262157**2 / 10), abs=1e-6)  # Wilson's where all of 10 are hits


def test_groups_that_are_equally_good_are_as_many_images_as_they_have() -> None:
    evidence = np.tile([1.0, 1, 1, 0], 30)[:, None]
    groups = [f"w{place // 4}" for place in range(120)]
    low, high = bounds(with_intervals(share, evidence, seed=0, shares=["share"], groups=groups))
    wanted = stats.binomtest(90, 120).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=0.005)  # Student's quantile of 29


def test_groups_of_one_image_are_images() -> None:
    evidence, names = hits(40, 33), [str(place) for place in range(40)]
    for shares in ([], ["share"]):
        alone = with_intervals(share, evidence, seed=0, shares=shares)
        assert bounds(with_intervals(share, evidence, seed=0, shares=shares, groups=names)) == pytest.approx(
            bounds(alone), abs=0.03 * (not shares)
        )


def test_scores_of_groups_are_those_of_their_images() -> None:
    evidence = np.array([[1.0], [0.0], [1.0], [1.0]])
    found = scores_of_groups(share, evidence, ["b", "a", "b", "a"])
    assert found == {"a": (2, {"share": 0.5}), "b": (2, {"share": 1.0})}
    assert list(found) == ["a", "b"]
    assert scores_of_groups(share, evidence, []) == {}
