"""Mixing: pixels and weights by hand, and the same mix for the same seed."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.transforms.mixing import CutMix, Mixed, Mixing, Mixup
from tests.refusals import refused

LEVELS = np.array([0, 40, 100, 160, 255], np.uint8)
BOTH = pytest.mark.parametrize("make", [Mixup, CutMix])


def constant_images(rows: int = 20, columns: int = 30) -> NDArray[np.uint8]:
    """Return an image of each level."""
    return np.broadcast_to(LEVELS[:, None, None, None], (len(LEVELS), rows, columns, 3)).copy()


def mixes(mixing: Mixing, *, count: int = 40) -> list[Mixed]:
    """Return mixes of constant images whose labels are their levels, so that pixels and labels can be compared."""
    return [mixing(constant_images(), LEVELS, are_masks=False, seed=seed) for seed in range(count)]


@BOTH
def test_same_seed_gives_the_same_mix_and_another_seed_another(make: Callable[[float], Mixing]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    drawn = [make(1.0)(noise, LEVELS, are_masks=False, seed=seed) for seed in range(8)]
    again = [make(1.0)(noise, LEVELS, are_masks=False, seed=seed) for seed in reversed(range(8))]
    for one, other in zip(drawn, reversed(again), strict=True):
        for part, part_again in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, part_again)
    assert len({each.images.tobytes() for each in drawn}) == 8
    assert len({each.weight for each in drawn}) > 1


@BOTH
def test_what_is_mixed_stays_as_it_is(make: Callable[[float], Mixing]) -> None:
    images, labels = constant_images(), LEVELS.copy()
    make(1.0)(images, labels, are_masks=False, seed=1)
    np.testing.assert_array_equal(images, constant_images())
    np.testing.assert_array_equal(labels, LEVELS)


@BOTH
def test_partners_are_the_batch_in_another_order(make: Callable[[float], Mixing]) -> None:
    orders = set()
    for mixed in mixes(make(1.0)):
        np.testing.assert_array_equal(mixed.targets, LEVELS)
        assert sorted(mixed.partners) == sorted(LEVELS)
        assert (mixed.images.dtype, mixed.partners.dtype) == (np.uint8, np.uint8)
        orders.add(tuple(mixed.partners))
    assert len(orders) > 20


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_blends_by_its_weight(alpha: float) -> None:
    for mixed in mixes(Mixup(alpha)):
        wanted = mixed.weight * mixed.targets.astype(float) + (1 - mixed.weight) * mixed.partners
        difference = mixed.images - wanted[:, None, None, None]
        assert np.abs(difference).max() <= 0.5 + 1e-4, "the blend is rounded to the nearest byte"
        assert 0 <= mixed.weight <= 1


@pytest.mark.parametrize(("alpha", "deviation"), [(0.2, 0.4226), (1.0, 0.2887), (4.0, 0.1667)])
def test_weights_of_mixup_are_those_of_a_beta_distribution(alpha: float, deviation: float) -> None:
    one = np.zeros((1, 1, 1, 1), np.uint8)
    weights = [Mixup(alpha)(one, LEVELS[:1], are_masks=False, seed=seed).weight for seed in range(2000)]
    # Mean 1/2 and variance 1 / (4 (2 alpha + 1)).
    assert abs(np.mean(weights) - 0.5) < 4 * deviation / np.sqrt(2000)
    assert np.std(weights) == pytest.approx(deviation, rel=0.06)


def test_mixup_of_masks_keeps_both() -> None:
    masks = np.random.default_rng(0).integers(0, 3, (5, 20, 30), dtype=np.uint8)
    mixed = Mixup(1.0)(constant_images(), masks, are_masks=True, seed=0)
    np.testing.assert_array_equal(mixed.targets, masks)
    order = [int(np.flatnonzero((masks == partner).all(axis=(1, 2)))[0]) for partner in mixed.partners]
    assert sorted(order) == [0, 1, 2, 3, 4]
    blend = mixed.weight * LEVELS + (1 - mixed.weight) * LEVELS[order]
    np.testing.assert_allclose(mixed.images[:, 0, 0, 0], blend, atol=0.51)


def test_weight_of_cutmix_is_the_share_of_pixels_that_is_left() -> None:
    weights = []
    for mixed in mixes(CutMix(1.0), count=80):
        for image, level, partner in zip(mixed.images, mixed.targets, mixed.partners, strict=True):
            assert set(np.unique(image)) <= {level, partner}
            if partner != level:
                assert (image == level).mean() == pytest.approx(mixed.weight)
        weights.append(mixed.weight)
    assert min(weights) < 0.4
    assert max(weights) > 0.9


def test_cutmix_pastes_one_rectangle_in_the_same_place_of_all_images() -> None:
    for mixed in mixes(CutMix(1.0)):
        other = mixed.partners != mixed.targets
        pasted = (mixed.images[other] == mixed.partners[other][:, None, None, None])[..., 0]
        assert (pasted == pasted[0]).all()
        rows, columns = pasted[0].any(axis=1), pasted[0].any(axis=0)
        np.testing.assert_array_equal(pasted[0], np.outer(rows, columns))
        assert all(np.abs(np.diff(each.astype(int))).sum() <= 2 for each in (rows, columns)), "one piece"


def test_share_that_cutmix_cuts_is_the_drawn_one_but_for_the_border() -> None:
    """On 400 x 600 pixels whole numbers matter little; Beta(1, 1) leaves 1/2 on average, and the border more."""
    images = np.zeros((2, 400, 600, 1), np.uint8)
    for seed in range(60):
        weight = CutMix(1.0)(images, LEVELS[:2], are_masks=False, seed=seed).weight
        drawn = float(np.random.default_rng(seed).beta(1.0, 1.0))
        assert weight >= drawn - 1e-9


def test_cutmix_pastes_masks_like_images_and_counts_them_fully() -> None:
    masks = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None, None], (5, 20, 30))
    num_pasted = 0
    for seed in range(30):
        mixed = CutMix(1.0)(constant_images(), masks, are_masks=True, seed=seed)
        assert mixed.weight == 1
        np.testing.assert_array_equal(mixed.partners, mixed.targets)
        np.testing.assert_array_equal(LEVELS[mixed.targets], mixed.images[..., 0])
        num_pasted += int((mixed.targets != masks).any())
    assert num_pasted > 20


def test_only_masks_are_pasted_whatever_the_shape_of_targets() -> None:
    maps = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None, None], (5, 20, 30))
    for seed in range(30):
        mixed = CutMix(1.0)(constant_images(), maps, are_masks=False, seed=seed)
        np.testing.assert_array_equal(mixed.targets, maps)
        np.testing.assert_array_equal(mixed.partners[:, 0, 0], mixed.partners[:, -1, -1])
        assert mixed.weight == CutMix(1.0)(constant_images(), LEVELS, are_masks=False, seed=seed).weight


@BOTH
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_alpha_must_be_above_0(make: Callable[[float], Mixing], alpha: float) -> None:
    text = (
        f"augmentation.mixing.alpha must be above 0, got {alpha}; augmentation.mixing=null turns mixing off"
    )
    with refused("augmentation.mixing.alpha", allowed="above 0", hint="augmentation.mixing=null", text=text):
        make(alpha)
