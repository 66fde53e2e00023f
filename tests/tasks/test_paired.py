"""Differences between methods: exact tests, intervals that cover, seeds and images apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks.paired_coverage import WORLDS, cover
from pipeline.tasks.intervals import FEWEST_UNITS
from pipeline.tasks.paired import Difference, Variance, agresti_min_bounds, holm, mcnemar, paired_difference

Array = np.ndarray


def mean(evidence: Array) -> dict[str, float]:
    return {"score": float(evidence.mean())}


def compared(first: Array, second: Array, **more: object) -> Difference:
    options = {"seed": 0, "is_share": False, **more}
    return paired_difference(mean, "score", first[..., None], second[..., None], **options)  # type: ignore[arg-type]


def drawn(num_seeds: int, num_images: int, shift: float = 0.0) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    ease = random.standard_normal(num_images)
    first, second = (ease + 0.3 * random.standard_normal((num_seeds, num_images)) for _ in range(2))
    return first, second + shift


def test_mcnemar_is_the_probability_of_as_uneven_a_split() -> None:
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)  # two tails of 10 coins
    assert mcnemar(4, 4) == mcnemar(0, 0) == 1.0


def test_interval_of_paired_shares_adds_half_an_image_to_each_cell() -> None:
    low, high = agresti_min_bounds(2, 10, 98)
    half = 1.959963984540054 * ((2.5 + 10.5) - 8**2 / 100) ** 0.5 / 100
    assert (low, high) == pytest.approx((0.08 - half, 0.08 + half))
    assert agresti_min_bounds(0, 5, 5)[1] == 1.0


def test_holm_multiplies_by_the_number_of_tests_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    corrected = holm([float("nan"), 0.02])
    assert np.isnan(corrected[0])
    assert corrected[1] == 0.02


def test_shares_of_two_models_are_compared_by_the_images_that_only_one_gets_right() -> None:
    first, second = np.ones((1, 200)), np.ones((1, 200))
    first[0, :12], second[0, 10:13] = 0, 0  # both miss images 10 and 11
    found = compared(first, second, is_share=True)
    assert found.only == (1, 10)
    assert found.value == pytest.approx(9 / 200)
    assert found.p == mcnemar(1, 10)
    assert found.total == found.images == agresti_min_bounds(1, 10, 200)
    assert np.isnan(found.seeds).all()


def test_same_predictions_do_not_differ() -> None:
    scores = np.random.default_rng(0).random((3, 50))
    found = compared(scores, scores)
    assert (found.value, found.p, found.total) == (0.0, 1.0, (0.0, 0.0))
    assert found.more_seeds is None


def test_pairs_of_images_make_small_differences_visible() -> None:
    first, second = drawn(1, 300, shift=0.1)  # images vary ten times as much
    found = compared(first, second)
    assert 0 < found.total[0] < found.value < found.total[1]
    assert found.p < 0.001


def test_seeds_that_vary_widen_the_interval() -> None:
    first, second = drawn(3, 300, shift=0.1)
    calm, wild = compared(first, second), compared(first, second + np.array([[-0.5], [0.0], [0.5]]))
    assert wild.images == pytest.approx(calm.images)
    assert wild.total[1] - wild.total[0] > 5 * (calm.total[1] - calm.total[0])
    assert calm.p < 0.05 < wild.p
    assert wild.more_seeds is not None
    assert wild.more_seeds > 10


def test_few_groups_say_nothing_of_other_images_but_seeds_do() -> None:
    first, second = drawn(4, 60, shift=0.1)
    groups = [f"writer {index % (FEWEST_UNITS - 1)}" for index in range(60)]
    found = compared(first, second, groups=groups)
    assert np.isnan(found.images).all()
    assert found.total == found.seeds
    assert found.p == pytest.approx(ttest_rel(second.mean(axis=1), first.mean(axis=1)).pvalue)
    assert compared(first, second - 0.095, groups=groups).more_seeds is not None
    alone = compared(first[:1], second[:1], groups=groups)
    assert np.isnan([*alone.total, alone.p]).all()


def test_groups_are_drawn_as_wholes() -> None:
    first, second = drawn(1, 600)
    shared = np.repeat(
        np.random.default_rng(1).standard_normal(30), 20
    )  # the same luck for all images of a group
    groups = [f"{index // 20:02d}" for index in range(600)]
    grouped, alone = compared(first, second + shared, groups=groups), compared(first, second + shared)
    assert grouped.total[1] - grouped.total[0] > 3 * (alone.total[1] - alone.total[0])


def test_more_seeds_are_those_that_would_show_the_difference() -> None:
    variance = Variance(images=0.0, both=0.0, seeds=0.01, num_seeds=3, num_units=1000)
    more = variance.more_seeds(0.1)
    assert more is not None
    num_seeds = 3 + more
    random = np.random.default_rng(0)
    values = 0.1 + 0.1 * random.standard_normal((4000, num_seeds))
    errors = values.std(axis=1, ddof=1) / num_seeds**0.5
    from scipy.stats import t as student

    shown = np.mean(np.abs(values.mean(axis=1)) > student.ppf(0.975, num_seeds - 1) * errors)
    assert 0.78 < shown < 0.86
    assert Variance(1.0, 0.0, 0.01, 3, 1000).more_seeds(0.1) is None, "images alone vary more"


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("is_share", [True, False])
def test_intervals_cover_the_true_difference(seeds: int, is_share: bool) -> None:
    covered = cover(WORLDS["images and trainings"], 60, seeds, is_share, 100)
    assert covered >= 0.87, "0.95, less almost four standard errors"
