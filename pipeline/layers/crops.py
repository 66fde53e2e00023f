"""Crops around the centre, for what lies inside the border that `valid` filters leave out."""

from __future__ import annotations

from torch import Tensor


def centred(whole: Tensor, outputs: Tensor) -> Tensor:
    """Cut rows and columns, the last two axes, to those of smaller outputs, around the centre.

    Args:
        whole: (..., H, W), masks, images or maps.
        outputs: (..., H', W') of filters that do not reach over the border.
    """
    rows, columns = outputs.shape[-2:]
    top, left = (whole.shape[-2] - rows) // 2, (whole.shape[-1] - columns) // 2
    return whole[..., top : top + rows, left : left + columns]
