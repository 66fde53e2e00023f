"""Steps of augmentation that albumentations lacks, or does not do as the papers do.

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
    a_i ~ N(0, deviation) is drawn once per image and use. The offset's covariance is deviation^2 P L^2 P^T.

    Args:
        covariance: (C, C) of the colours of all training pixels, on the scale 0 to 1; the pipeline gives it.
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
        """Return the image with the offset added, rounded and cut to 0..255."""
        return shifted(img, 255 * offset)


class PadCrop(albumentations.RandomCrop):  # type: ignore[misc]
    """Pad each side by a share of the image, then cut out a rectangle at random (He et al. 2015, section 4.2).

    Args:
        rows: of the crop.
        columns: of the crop.
        padding: share of rows and columns that is added at each side; 0.125 adds the usual 4 pixels to 32.
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

    It composes six matrices, for boxes once more, and looks for the identity; here boxes are served where there are
    any, and one matrix is written down: with A = shear * rotation * scale, x -> A (x - c) + c + translation.
    """

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw translation, shear, scale and rotation, in this order, and return their matrix (2, 3)."""
        if self.fit_output or "bboxes" in data or "keypoints" in data:
            drawn: dict[str, Any] = super().get_params_dependent_on_data(params, data)
            return drawn
        rows, columns = params["shape"][:2]
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
        return {"matrix": np.array([[a, b, right], [c, d, down]]), "output_shape": (rows, columns)}

    def apply(
        self, img: Array, matrix: NDArray[np.float64], output_shape: tuple[int, int], **_: Any
    ) -> Array:
        """Return the image (H, W, C) as its matrix maps it."""
        return self._warped(img, matrix, output_shape, self.interpolation, self.fill)

    def apply_to_mask(
        self, mask: Array, matrix: NDArray[np.float64], output_shape: tuple[int, int], **_: Any
    ) -> Array:
        """Return the mask as its image is mapped."""
        return self._warped(mask, matrix, output_shape, self.mask_interpolation, self.fill_mask)

    def _warped(
        self, pixels: Array, matrix: NDArray[np.float64], sides: tuple[int, int], how: int, fill: Any
    ) -> Array:
        warped = cv2.warpAffine(
            pixels,
            matrix[:2],
            (int(sides[1]), int(sides[0])),
            flags=how,
            borderMode=self.border_mode,
            borderValue=fill if isinstance(fill, Sequence) else (fill,) * 4,
        )
        return warped.reshape(*warped.shape[:2], *pixels.shape[2:])  # OpenCV drops an axis of one channel


def shifted(image: Array, offset: NDArray[np.float64]) -> Array:
    """Add an offset (C,), in grey levels, to all pixels by a table of 256 values per channel."""
    levels = np.arange(256)[:, None] + offset
    table = np.rint(levels).clip(0, 255).astype(np.uint8)
    moved: Array = cv2.LUT(image, table[None])  # type: ignore[assignment]
    return moved
