"""Centre crops, to the area that is left when `valid` filters drop the border."""

from __future__ import annotations

from torch import Tensor


def centred(whole: Tensor, outputs: Tensor) -> Tensor:
    """Crop rows and columns, the last two axes, around the centre to those of smaller outputs.

    Args:
        whole: (..., H, W), masks, images or maps.
        outputs: (..., H', W') of filters without padding.
    """
    rows, columns = outputs.shape[-2:]
    top, left = (whole.shape[-2] - rows) // 2, (whole.shape[-1] - columns) // 2
    return whole[..., top : top + rows, left : left + columns]
