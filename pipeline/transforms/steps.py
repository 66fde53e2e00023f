"""Augmentation steps that albumentations lacks, or that differ from the papers there.

Shapes: images (H, W, C) uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin, tan
from typing import Annotated, Any

import albumentations
import cv2
import numpy as np
from albumentations.core.transforms_interface import BaseTransformInitSchema
from numpy.typing import NDArray
from pydantic import Field

from pipeline.transforms.statistics import principal_axes

Array = NDArray[np.uint8]


class PcaColor(albumentations.ImageOnlyTransform):  # type: ignore[misc]
    """Shift the colours of an image along the principal axes of all training colours.

    Source: Krizhevsky et al. 2012, section 4.1. To every pixel is added sum_i a_i l_i p_i, where p_i and l_i are the
    eigenvectors and eigenvalues of the covariance of RGB values over all training pixels on the scale 0 to 1, and
    a_i ~ N(0, deviation) is drawn once each time an image is used. The offset's covariance is deviation^2 P L^2 P^T.

    Args:
        covariance: (C, C) of the colours of all training pixels, on the scale 0 to 1; the pipeline fills it in.
        deviation: of the draws a_i; 0.1 in the paper.
    """

    class InitSchema(BaseTransformInitSchema):  # type: ignore[misc]
        """Ranges, as albumentations checks them."""

        covariance: list[list[float]]
        deviation: Annotated[float, Field(ge=0)]

    def __init__(self, covariance: list[list[float]], deviation: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.deviation = deviation
        variances, axes = principal_axes(np.array(covariance))
        self._shifts = axes * variances

    def get_params(self) -> dict[str, Any]:
        """Draw the offset of an image, (C,) on the scale 0 to 1."""
        draws = self.random_generator.normal(0, self.deviation, len(self._shifts))
        return {"offset": self._shifts @ draws}

    def apply(self, img: Array, offset: NDArray[np.float64], **_: Any) -> Array:
        """Return the image with the offset added, rounded and clipped to 0..255."""
        return shifted(img, 255 * offset)


class PadCrop(albumentations.RandomCrop):  # type: ignore[misc]
    """Pad each side by a fraction of the image, then crop at random (He et al. 2015, section 4.2).

    Args:
        rows: of the crop.
        columns: of the crop.
        padding: fraction of rows and columns that is added on each side; 0.125 adds the usual 4 pixels to 32.
        fill: value of padded pixels.
        fill_mask: value of padded pixels of masks.
    """

    class InitSchema(BaseTransformInitSchema):  # type: ignore[misc]
        """Ranges, as albumentations checks them."""

        rows: Annotated[int, Field(ge=1)]
        columns: Annotated[int, Field(ge=1)]
        padding: Annotated[float, Field(ge=0, le=1)]
        fill: float
        fill_mask: float

    def __init__(
        self,
        rows: int,
        columns: int,
        padding: float,
        fill: float = 0.0,
        fill_mask: float = 0.0,
        p: float = 1.0,
    ) -> None:
        super().__init__(height=rows, width=columns, pad_if_needed=True, fill=fill, fill_mask=fill_mask, p=p)
        self.padding = padding

    def _get_pad_params(
        self,
        image_shape: tuple[int, int],
        target_shape: tuple[int, int],  # noqa: ARG002
    ) -> dict[str, int] | None:
        rows, columns = (int(side * self.padding) for side in image_shape)
        if not rows and not columns:
            return None
        return {"pad_top": rows, "pad_bottom": rows, "pad_left": columns, "pad_right": columns}


class Affine(albumentations.Affine):  # type: ignore[misc]
    """albumentations' Affine with the same settings, draws and pixels, in a fraction of its time.

    albumentations composes six matrices, again for boxes, tests for the identity, and passes each image through four
    calls; here an image, alone or with its mask, is warped by one matrix in closed form: with A = shear * rotation *
    scale, x -> A (x - c) + c + translation. Samples with boxes or points are left to albumentations.
    """

    def __call__(self, *args: Any, force_apply: bool = False, **sample: Any) -> dict[str, Any]:
        """Return the transformed sample, or the sample unchanged where the draw of `p` skips the step."""
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


def shifted(image: Array, offset: NDArray[np.float64]) -> Array:
    """Add an offset (C,), in grey levels, to all pixels by a table of 256 values per channel."""
    levels = np.arange(256)[:, None] + offset
    table = np.rint(levels).clip(0, 255).astype(np.uint8)
    moved: Array = cv2.LUT(image, table[None])  # type: ignore[assignment]
    return moved
