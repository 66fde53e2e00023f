"""Steps of augmentation that albumentations lacks, or does not do as the papers do.

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


def shifted(image: Array, offset: NDArray[np.float64]) -> Array:
    """Add an offset (C,), in grey levels, to all pixels by a table of 256 values per channel."""
    levels = np.arange(256)[:, None] + offset
    table = np.rint(levels).clip(0, 255).astype(np.uint8)
    moved: Array = cv2.LUT(image, table[None])  # type: ignore[assignment]
    return moved
