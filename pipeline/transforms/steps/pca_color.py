"""AlexNet's colour shift along the principal axes of all training colours.

Shapes: images (H, W, C) uint8.
"""

from __future__ import annotations

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


def shifted(image: Array, offset: NDArray[np.float64]) -> Array:
    """Add an offset (C,), in grey levels, to all pixels, using a lookup table of 256 values per channel."""
    levels = np.arange(256)[:, None] + offset
    table = np.rint(levels).clip(0, 255).astype(np.uint8)
    moved: Array = cv2.LUT(image, table[None])  # type: ignore[assignment]
    return moved
