"""PSNR and SSIM against scikit-image, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tasks.image_quality import MOST_PSNR, luma, psnr, ssim, without_border

SIDES = [(40, 33), (11, 11), (64, 12)]


def pair(sides: tuple[int, int], channels: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(sum(sides))
    image = random.integers(0, 256, (*sides, channels), dtype=np.uint8)
    return image, np.clip(image + random.normal(0, 30, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", SIDES)
def test_psnr_and_ssim_of_luma_are_those_of_scikit_image(sides: tuple[int, int], channels: int) -> None:
    metrics, color = pytest.importorskip("skimage.metrics"), pytest.importorskip("skimage.color")
    images = pair(sides, channels)
    theirs = [
        each[..., 0].astype(float) if channels == 1 else color.rgb2ycbcr(each)[..., 0] for each in images
    ]
    mine = [luma(each) for each in images]
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert psnr(*mine) == pytest.approx(metrics.peak_signal_noise_ratio(*theirs, data_range=255), abs=1e-6)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert ssim(*mine) == pytest.approx(metrics.structural_similarity(*theirs, **settings), abs=1e-6)


def test_luma_runs_from_16_to_235_and_weighs_green_most() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [0, 255, 0]]], np.uint8)
    assert luma(colours)[0] == pytest.approx([16, 235, 16 + 128.553])


def test_psnr_by_hand() -> None:
    black, grey = np.zeros((4, 5)), np.full((4, 5), 25.5)
    assert psnr(black, grey) == pytest.approx(20)
    assert psnr(grey, grey) == MOST_PSNR
    assert np.isnan(psnr(black[:0], grey[:0]))


def test_ssim_of_equal_images_is_1_of_any_size_and_of_constant_ones_a_fraction() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (20, 20))
    for side in (20, 11, 10, 3, 1):
        assert ssim(image[:side, :side], image[:side, :side]) == pytest.approx(1)
    one, other = np.full((15, 15), 100.0), np.full((15, 15), 50.0)
    constant = (0.01 * 255) ** 2
    assert ssim(one, other) == pytest.approx((2 * 100 * 50 + constant) / (100**2 + 50**2 + constant))
    assert np.isnan(ssim(image[:0], image[:0]))


def test_border_is_left_out_at_each_side() -> None:
    image = np.arange(20.0).reshape(4, 5)
    assert np.array_equal(without_border(image, 1), image[1:3, 1:4])
    assert without_border(image, 0) is not None
    assert np.array_equal(without_border(image, 0), image)
