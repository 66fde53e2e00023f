"""Overlap of boxes.

A box is (x_min, y_min, x_max, y_max) in pixels, half-open: its width is x_max - x_min.
Shapes: n and m boxes; boxes are (..., n, 4), leading axes broadcast.
"""

from __future__ import annotations

import torch
from torch import Tensor


def areas(boxes: Tensor) -> Tensor:
    """Return the area of each box: (...,)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_intersections(first: Tensor, second: Tensor) -> Tensor:
    """Return the area that each pair of boxes has in common: (..., n, m)."""
    first, second = first[..., :, None, :], second[..., None, :, :]
    width = torch.minimum(first[..., 2], second[..., 2]) - torch.maximum(first[..., 0], second[..., 0])
    height = torch.minimum(first[..., 3], second[..., 3]) - torch.maximum(first[..., 1], second[..., 1])
    return width.clamp(min=0) * height.clamp(min=0)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union of each pair of boxes: (..., n, m); 0 for two boxes of no area."""
    common = pairwise_intersections(first, second)
    union = areas(first)[..., :, None] + areas(second)[..., None, :] - common
    return common / union.clamp(min=torch.finfo(union.dtype).tiny)


def paired_iou(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and generalised IoU of boxes with the same index, each (...,).

    The generalised one (Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1) has a gradient also where boxes do not
    meet: it subtracts the share of the smallest box around both that neither covers.
    """
    inner = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    outer = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    common, around = inner.clamp(min=0).prod(dim=-1), outer.prod(dim=-1)
    least = torch.finfo(common.dtype).tiny
    union = (areas(first) + areas(second) - common).clamp(min=least)
    iou = common / union
    return iou, iou - (around - union) / around.clamp(min=least)
