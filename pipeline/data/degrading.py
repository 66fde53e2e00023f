"""Degraded images, by which a network learns to restore: fewer pixels, noise, or both, in this order.

Noise is Gaussian, of a standard deviation on the scale from 0 to 255; as images are bytes, it is rounded and clipped.
Pixels are reduced and, for comparison, enlarged by Pillow's bicubic filter (Keys 1981, a = -0.5), whose support grows
with the reduction, so that it is antialiased.
Shapes: images (N, H, W, C) uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ConfigError

Array = NDArray[np.uint8]


@dataclass(frozen=True)
class Degrading:
    """A way to degrade images.

    Args:
        noise: standard deviation, 0 for none.
        factor: that rows and columns are divided by, 1 to keep them.
    """

    noise: float
    factor: int

    def make(self, images: Array, seeds: Sequence[int] | None) -> tuple[Array, Array]:
        """Return degraded images (N, H / factor, W / factor, C), and their targets (N, C, H, W).

        Args:
            seeds: of the noise of each image; None to seed it by the image's own pixels, so that it is always the same.

        Raises:
            ConfigError: the factor does not divide rows and columns, as of a crop.
        """
        if any(side % self.factor for side in images.shape[1:3]):
            raise ConfigError(
                "data.degrade.factor",
                got=self.factor,
                allowed=f"a divisor of rows and columns of the images, {images.shape[1]} x {images.shape[2]}",
                hint="choose other sides for the crops of augmentation",
            )
        inputs = resample(images, images.shape[1] // self.factor, images.shape[2] // self.factor)
        if self.noise:
            chosen = [crc32(each.tobytes()) for each in images] if seeds is None else seeds
            noisy = [self._add_noise(each, seed) for each, seed in zip(inputs, chosen, strict=True)]
            inputs = np.stack(noisy)
        return inputs, np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    def _add_noise(self, image: Array, seed: int) -> Array:
        noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
        noisy: Array = np.rint(np.clip(image + np.float32(self.noise) * noise, 0, 255)).astype(np.uint8)
        return noisy


def resample(images: Array, rows: int, columns: int) -> Array:
    """Return images with other rows and columns, by the bicubic filter."""
    if images.shape[1:3] == (rows, columns):
        return images
    resized = [
        [
            np.asarray(Image.fromarray(channel).resize((columns, rows), Image.Resampling.BICUBIC))
            for channel in np.ascontiguousarray(image.transpose(2, 0, 1))
        ]
        for image in images
    ]
    return np.stack([np.stack(channels, axis=-1) for channels in resized])


def cut_to_multiple(image: Array, factor: int) -> Array:
    """Return an image (H, W, C) without the last rows and columns that a factor does not divide."""
    rows, columns = (side // factor * factor for side in image.shape[:2])
    return image[:rows, :columns]
