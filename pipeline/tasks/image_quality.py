"""How alike two images are: PSNR and SSIM of their luma, from 0 to 255.

Sources: SSIM, Wang et al. 2004, "Image quality assessment", section III: windows of 11 x 11 pixels, Gaussian with a
deviation of 1.5, K1 = 0.01 and K2 = 0.03; windows that reach over the border are left out, and
those of images that are smaller than a window have as many pixels as fit. Luma, ITU-R BT.601: from 16
to 235, as the literature on super resolution computes it; grey images are taken as they are.
Shapes: images (H, W, C), luma (H, W).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WHITE = 255.0
LUMA = np.array([65.481, 128.553, 24.966]) / 255  # of red, green and blue
BLACK_LUMA = 16.0
MOST_PSNR = (
    100.0  # dB, of images that are equal; a difference of one grey level in 150,000 pixels has as much
)
REACH, DEVIATION = 5, 1.5  # pixels, of the window of SSIM
SMALLEST_MEAN, SMALLEST_VARIANCE = (0.01 * WHITE) ** 2, (0.03 * WHITE) ** 2


def luma(image: NDArray[Any]) -> Floats:
    """Return the luma of an image of 1 or 3 channels."""
    pixels = image.astype(np.float64)
    return pixels[..., 0] if image.shape[-1] == 1 else pixels @ LUMA + BLACK_LUMA


def without_border(image: Floats, border: int) -> Floats:
    """Return an image without so many rows and columns at each side."""
    return image[border : image.shape[0] - border, border : image.shape[1] - border]


def psnr(one: Floats, other: Floats) -> float:
    """Return the peak signal-to-noise ratio in dB, at most `MOST_PSNR`; NaN of images without pixels."""
    if not one.size:
        return float("nan")
    error = float(np.square(one - other).mean())
    return min(MOST_PSNR, float(10 * np.log10(WHITE**2 / error))) if error else MOST_PSNR


def ssim(one: Floats, other: Floats) -> float:
    """Return the structural similarity, at most 1; NaN of images without pixels."""
    if not one.size:
        return float("nan")
    reach = min(REACH, (min(one.shape) - 1) // 2)
    mean_one, mean_other = _windowed(one, reach), _windowed(other, reach)
    variances = _windowed(one * one, reach) - mean_one**2 + _windowed(other * other, reach) - mean_other**2
    covariance = _windowed(one * other, reach) - mean_one * mean_other
    alike = (2 * mean_one * mean_other + SMALLEST_MEAN) / (mean_one**2 + mean_other**2 + SMALLEST_MEAN)
    alike *= (2 * covariance + SMALLEST_VARIANCE) / (variances + SMALLEST_VARIANCE)
    return float(alike.mean())


def _windowed(image: Floats, reach: int) -> Floats:
    """Return the weighted mean of each window, which reaches so many pixels to each side."""
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / DEVIATION) ** 2)
    weights /= weights.sum()
    rows, columns = (side - 2 * reach for side in image.shape)
    down, across = np.zeros((rows, image.shape[1])), np.zeros((rows, columns))
    for place, weight in enumerate(weights):
        down += weight * image[place : place + rows]
    for place, weight in enumerate(weights):
        across += weight * down[:, place : place + columns]
    return across
