"""Scores of pairs and of galleries, against counts by hand, scikit-learn, and galleries that are drawn."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pipeline.tasks.pairs import Pairs, Roc

Array = NDArray[np.float64]


def draw(seed: int, counts: list[int], *, noise: float = 1.0) -> tuple[Array, Array]:
    """Return points (N, 3) and identities (N,), in no order."""
    random = np.random.default_rng(seed)
    identities = random.permutation(np.repeat(np.arange(len(counts)), counts))
    points = random.normal(size=(len(counts), 3))[identities] + noise * random.normal(size=(sum(counts), 3))
    return points, identities.astype(np.float64)


def lists(points: Array, identities: Array) -> tuple[list[float], list[float]]:
    """Return the distances of genuine pairs and of impostors."""
    genuine, impostors = [], []
    for a, b in combinations(range(len(points)), 2):
        (genuine if identities[a] == identities[b] else impostors).append(
            float(np.linalg.norm(points[a] - points[b]))
        )
    return genuine, impostors


def roc_of(points: Array, identities: Array) -> Roc:
    roc = Pairs(points, identities, "euclidean").roc()
    assert roc is not None
    return roc


counts_of = st.lists(st.integers(1, 4), min_size=2, max_size=6).filter(lambda counts: max(counts) > 1)


@given(seed=st.integers(0, 99), counts=counts_of, step=st.sampled_from([None, 0.5]))
@settings(deadline=None)
def test_curve_counts_accepted_pairs(seed: int, counts: list[int], step: float | None) -> None:
    points, identities = draw(seed, counts)
    if step is not None:  # so that distances are tied
        points = np.round(points / step) * step
    genuine, impostors = map(np.array, lists(points, identities))
    roc = roc_of(points, identities)
    truth = np.append(np.ones(len(genuine)), np.zeros(len(impostors)))
    assert roc.area() == pytest.approx(roc_auc_score(truth, -np.append(genuine, impostors)))
    for threshold in (0.0, 0.5, 1.0, 2.2):
        far, frr = roc.rates(threshold)
        assert far == pytest.approx((impostors <= threshold + 1e-12).mean())
        assert frr == pytest.approx((genuine > threshold + 1e-12).mean())
    for share in (0.0, 0.01, 0.3):
        allowed = [t for t in [-1.0, *genuine, *impostors] if (impostors <= t + 1e-12).mean() <= share]
        assert roc.accepted_at(share) == pytest.approx((genuine <= max(allowed) + 1e-12).mean())


def test_equal_error_of_curves_that_are_known() -> None:
    apart = roc_of(np.array([[0.0], [1], [10], [11]]), np.array([0.0, 0, 1, 1]))
    assert (apart.area(), apart.equal_error()) == (1, 0)
    assert 1 < apart.equal_threshold() < 9
    same = roc_of(np.zeros((4, 2)), np.array([0.0, 0, 1, 1]))
    assert (same.area(), same.equal_error()) == (0.5, 0.5)
    assert same.equal_threshold() == 0
    # Genuine 1 and 3; impostors 2, 2, 4 and 5: at 2, half of both.
    distances = np.array([-np.inf, 1, 2, 3, 4, 5])
    far, tar = np.array([0, 0, 0.5, 0.5, 0.75, 1]), np.array([0, 0.5, 0.5, 1, 1, 1])
    crossed = Roc(distances, far, tar)
    assert crossed.equal_error() == 0.5
    assert crossed.equal_threshold() == 2.5


@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_threshold_of_equal_errors_makes_both_rates_as_equal_as_can_be(seed: int) -> None:
    roc = roc_of(*draw(seed, [4, 4, 4]))
    far, frr = roc.rates(roc.equal_threshold())
    assert abs(far - frr) <= min(abs(a - b) for a, b in map(roc.rates, roc.distances[1:])) + 1e-12


@pytest.mark.parametrize("ways", [2, 3, 5])
def test_recognition_is_the_mean_over_drawn_galleries(ways: int) -> None:
    points, identities = draw(3, [3, 2, 4, 2, 3])
    pairs, random = Pairs(points, identities, "euclidean"), np.random.default_rng(0)
    hits = []
    for _ in range(6000):
        query = int(random.integers(len(points)))
        own = random.choice(
            [i for i in range(len(points)) if identities[i] == identities[query] and i != query]
        )
        names = random.choice([n for n in range(5) if n != identities[query]], ways - 1, replace=False)
        others = [int(random.choice(np.flatnonzero(identities == name))) for name in names]
        hits.append(all(pairs.matrix[query, other] > pairs.matrix[query, own] for other in others))
    # Each query counts once above, and as often as its identity has other images in the score.
    weight = np.bincount(identities.astype(int))[identities.astype(int)] - 1
    assert weight.min() >= 1
    by_query = Pairs(points, identities, "euclidean").recognised(ways)
    assert by_query == pytest.approx(np.mean(hits), abs=0.03)


def test_recognition_among_all_is_the_last_of_the_curve_and_falls_with_the_gallery() -> None:
    pairs = Pairs(*draw(1, [3] * 9), "euclidean")
    sizes, shares = zip(*pairs.recognised_by_size(), strict=True)
    assert sizes == tuple(range(2, 10))
    assert list(shares) == sorted(shares, reverse=True)
    for ways, share in zip(sizes, shares, strict=True):
        assert pairs.recognised(ways) == pytest.approx(share)
    assert np.isnan(pairs.recognised(10))


def test_nearest_of_two_identities_by_hand() -> None:
    """Of 0, 1 and 3, 10, those of the first have each other nearer; 3 has 10 farther than both of the first."""
    pairs = Pairs(np.array([[0.0], [1], [3], [10]]), np.array([0.0, 0, 1, 1]), "euclidean")
    # 0: 3 and 10 farther than 1. 1: 3 and 10 farther than 0. 3: 0 and 1 nearer than 10. 10: 0 and 1 farther than 3.
    assert pairs.recognised(2) == 0.75


def test_equal_distances_recognise_nobody() -> None:
    assert Pairs(np.zeros((6, 2)), np.repeat([0.0, 1, 2], 2), "euclidean").recognised(2) == 0


def test_images_drawn_twice_count_twice_but_are_not_paired_with_themselves() -> None:
    points, identities = draw(0, [3, 3, 3, 3])
    pairs = Pairs(points, identities, "euclidean")
    drawn = np.array([2.0, 0, 1, 1])
    roc = pairs.roc(drawn[identities.astype(int)])
    assert roc is not None
    at, total = {True: 0.0, False: 0.0}, {True: 0.0, False: 0.0}
    for a, b in combinations(range(len(points)), 2):
        one, other = int(identities[a]), int(identities[b])
        weight = drawn[one] if one == other else drawn[one] * drawn[other]
        total[one == other] += weight
        at[one == other] += weight * (np.linalg.norm(points[a] - points[b]) <= 1.5)
    far, frr = roc.rates(1.5)
    assert (far, 1 - frr) == pytest.approx((at[False] / total[False], at[True] / total[True]))
    without = identities != 1
    alone = Pairs(points[without], identities[without], "euclidean")
    for ways in (2, 3):
        weights = np.array([1.0, 0, 1, 1])[identities.astype(int)]
        assert pairs.recognised(ways, weights) == pytest.approx(alone.recognised(ways))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((1, 2))])
def test_without_pairs_nothing_is_known(points: Array) -> None:
    pairs = Pairs(points, np.zeros(len(points)), "euclidean")
    assert pairs.roc() is None
    assert pairs.recognised_by_size() == []
    assert np.isnan(pairs.recognised(2))


def test_a_thousand_draws_of_four_hundred_images_take_seconds() -> None:
    random = np.random.default_rng(0)
    identities = np.repeat(np.arange(40.0), 10)
    pairs = Pairs(random.normal(size=(400, 16)), identities, "euclidean")
    pairs.recognised(8)
    start = time.process_time()
    for _ in range(10):
        weights = np.bincount(random.integers(0, 40, 40), minlength=40)[identities.astype(int)].astype(float)
        pairs.roc(weights)
        pairs.recognised(8, weights)
    assert (time.process_time() - start) * 100 < 30
