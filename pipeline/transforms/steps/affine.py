"""Rotation, scaling, shearing and translation by one matrix.

Shapes: images (H, W, C) uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin, tan
from typing import Any

import albumentations
import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]


class Affine(albumentations.Affine):  # type: ignore[misc]
    """A faster version of albumentations' Affine, with the same settings, random draws and pixels.

    albumentations composes six matrices, repeats this for boxes, tests for the identity, and passes each image through
    four calls. Here an image, alone or with its mask, is warped by one matrix in closed form: with
    A = shear * rotation * scale, x -> A (x - c) + c + translation. Samples with boxes or points are delegated to
    albumentations.
    """

    def __call__(self, *args: Any, force_apply: bool = False, **sample: Any) -> dict[str, Any]:
        """Return the transformed sample, or the unchanged sample with probability 1 - `p`."""
        is_plain = not args and "image" in sample and sample.keys() <= {"image", "mask"}
        if not is_plain or self.fit_output or self.deterministic or self.replay_mode:
            done: dict[str, Any] = super().__call__(*args, force_apply=force_apply, **sample)
            return done
        self.params = {}
        if not self.should_apply(force_apply=force_apply):
            return sample
        image = sample["image"]
        matrix = self._matrix(*image.shape[:2])
        self.params = {"shape": image.shape, "matrix": matrix, "output_shape": image.shape[:2]}
        sample["image"] = self._warped(image, matrix, self.interpolation, self.fill)
        if sample.get("mask") is not None:
            sample["mask"] = self._warped(sample["mask"], matrix, self.mask_interpolation, self.fill_mask)
        return sample

    def _matrix(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Draw translation, shear, scale and rotation, in this order, and return their matrix (2, 3)."""
        moved = self._get_translate_params((rows, columns))
        slant = self._get_shear_params()
        scale = self._get_scale(self.scale, self.keep_ratio, self.balanced_scale, self.py_random)
        angle = radians(self.py_random.uniform(*self.rotate) % 360)
        x, y = tan(radians(slant["x"])), tan(radians(slant["y"]))
        a, b = scale["x"] * cos(angle), scale["y"] * sin(angle)
        c, d = -scale["x"] * sin(angle), scale["y"] * cos(angle)
        a, b, c, d = a + x * c, b + x * d, y * a + c, y * b + d
        middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2
        right = middle_x + moved["x"] - a * middle_x - b * middle_y
        down = middle_y + moved["y"] - c * middle_x - d * middle_y
        return np.array([[a, b, right], [c, d, down]])

    def _warped(self, pixels: Array, matrix: NDArray[np.float64], how: int, fill: Any) -> Array:
        warped: Array = cv2.warpAffine(  # type: ignore[assignment]
            pixels,
            matrix,
            (pixels.shape[1], pixels.shape[0]),
            flags=how,
            borderMode=self.border_mode,
            borderValue=fill if isinstance(fill, Sequence) else (fill,) * 4,
        )
        return warped.reshape(pixels.shape)  # OpenCV drops a channel axis of length 1
