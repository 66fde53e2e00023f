"""Padding and random cropping, the usual recipe for small photographs."""

from __future__ import annotations

from typing import Annotated

import albumentations
from albumentations.core.transforms_interface import BaseTransformInitSchema
from pydantic import Field


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
        """Schema by which albumentations validates the arguments."""

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
