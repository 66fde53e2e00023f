"""Non-maximum suppression against the greedy rule, written as a loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.boxes.iou import paired_iou, pairwise_iou
from pipeline.boxes.nms import BLOCK, greedy, suppress


def boxes_of(seed: int, count: int, *, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes of whole pixels, scores with ties, and classes."""
    random = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 100, (count, 2), generator=random)
    boxes = torch.cat(
        (corners, corners + torch.randint(0, side, (count, 2), generator=random)), dim=1
    ).float()
    scores = torch.randint(0, 50, (count,), generator=random) / 50
    return boxes, scores, torch.randint(0, 3, (count,), generator=random)


def by_the_rule(boxes: Tensor, scores: Tensor, classes: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    left, top, right, bottom = boxes.double().numpy().T
    areas = (right - left) * (bottom - top)
    for index in np.argsort(-scores.numpy(), kind="stable").tolist():
        width = np.minimum(right[index], right[kept]) - np.maximum(left[index], left[kept])
        height = np.minimum(bottom[index], bottom[kept]) - np.maximum(top[index], top[kept])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        is_close = common > threshold * (areas[index] + areas[kept] - common)
        if not (is_close & (classes[kept] == classes[index]).numpy()).any():
            kept.append(index)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.31, 0.53, 0.77, 1.0])
@pytest.mark.parametrize("side", [5, 30, 90])
def test_kept_boxes_are_those_of_the_greedy_rule(threshold: float, side: int) -> None:
    for seed, count in enumerate((0, 1, 2, 30, 2 * BLOCK + 3)):
        boxes, scores, classes = boxes_of(seed, count, side=side)
        kept = suppress(boxes, scores, classes, threshold=threshold)
        assert kept.tolist() == by_the_rule(boxes, scores, classes, threshold)
        kept = suppress(boxes, scores, threshold=threshold)
        assert kept.tolist() == by_the_rule(boxes, scores, torch.zeros_like(classes), threshold)


def test_a_chain_of_overlaps_keeps_every_second_box() -> None:
    overlaps = torch.diag_embed(torch.ones(8, dtype=torch.bool), offset=1) | torch.eye(9, dtype=torch.bool)
    assert greedy(overlaps).tolist() == [True, False] * 4 + [True]
    assert greedy(torch.stack((overlaps, torch.zeros_like(overlaps))))[1].all()


def test_iou_of_pairs_is_that_of_the_pixels() -> None:
    boxes, _, _ = boxes_of(0, 12, side=40)
    found = pairwise_iou(boxes, boxes)
    for first, row in zip(boxes.tolist(), found, strict=True):
        for second, value in zip(boxes.tolist(), row, strict=True):
            masks = np.zeros((2, 150, 150), bool)
            for mask, (left, top, right, bottom) in zip(masks, (first, second), strict=True):
                mask[int(top) : int(bottom), int(left) : int(right)] = True
            union = masks.any(axis=0).sum()
            assert float(value) == pytest.approx(masks.all(axis=0).sum() / union if union else 0)


def test_generalised_iou_falls_with_the_gap_between_boxes_and_is_the_iou_where_one_contains_the_other() -> (
    None
):
    first = torch.tensor([0.0, 0.0, 10.0, 10.0]).repeat(3, 1)
    second = torch.tensor([[2.0, 2.0, 8.0, 8.0], [20.0, 0.0, 30.0, 10.0], [40.0, 0.0, 50.0, 10.0]])
    iou, generalised = paired_iou(first, second)
    assert iou.tolist() == pytest.approx([0.36, 0, 0])
    assert generalised.tolist() == pytest.approx([0.36, -1 / 3, -3 / 5])
