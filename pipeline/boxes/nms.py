"""Non-maximum suppression: of boxes of one class that overlap, keep the one of the highest score.

The greedy rule: by falling score, keep a box unless its IoU with a kept one of its class exceeds the threshold. Of
equal scores, the box that comes first in the input goes first.
Shapes: n boxes (n, 4); see `pipeline.boxes.iou`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._higher_order_ops import while_loop

from pipeline.boxes.iou import areas, pairwise_iou

BLOCK = 256  # boxes that are decided together; does not change the result
SLACK = 1e-5  # of widths and places, above what single precision rounds


def suppress(boxes: Tensor, scores: Tensor, classes: Tensor | None = None, *, threshold: float) -> Tensor:
    """Return the indices of the kept boxes, by falling score; on the device of the boxes.

    Boxes are decided in blocks, after which what the kept ones suppress is dropped.

    Args:
        scores: (n,).
        classes: (n,); boxes of different classes do not suppress each other. None if all are of one.
        threshold: largest IoU of two kept boxes of one class, in [0, 1].
    """
    columns = torch.cat((boxes.T, areas(boxes)[None]))
    if classes is not None:
        columns = torch.cat((columns, classes[None].to(columns.dtype)))
    order = scores.argsort(descending=True, stable=True)
    columns = columns.index_select(1, order)
    centres, ranks = ((columns[0] + columns[2]) / 2).sort()  # sorted once; what is decided is taken out
    rest = columns.index_select(1, ranks)
    is_open = torch.ones_like(order, dtype=torch.bool)
    waiting, kept = torch.arange(len(order), device=order.device), []
    while len(waiting):
        block, waiting = waiting[:BLOCK], waiting[BLOCK:]
        chosen = columns.index_select(1, block)
        keep = greedy(_overlap(chosen[:, :, None], chosen[:, None], threshold))
        kept.append(block[keep])
        is_open[block] = False
        left = is_open.index_select(0, ranks).nonzero().squeeze(1)
        centres, ranks, rest = centres[left], ranks[left], rest.index_select(1, left)
        is_open[ranks[_find_suppressed(rest, centres, chosen[:, keep], threshold)]] = False
        waiting = waiting[is_open[waiting]]
    return order[torch.cat(kept)] if kept else order


def keep_best(boxes: Tensor, classes: Tensor, *, threshold: float) -> Tensor:
    """Return which boxes of each image the greedy rule keeps: (N, n) booleans; can be exported.

    Args:
        boxes: (N, n, 4), by falling score.
        classes: (N, n); boxes of different classes do not suppress each other.
        threshold: largest IoU of two kept boxes of one class.
    """
    is_same = classes[:, :, None] == classes[:, None]
    return greedy((pairwise_iou(boxes, boxes) > threshold) & is_same)


def greedy(overlaps: Tensor) -> Tensor:
    """Return which boxes the greedy rule keeps: (..., n) booleans.

    That is the fixed point of "kept unless a kept one of higher score overlaps". Each turn decides at least one more
    box for good, and in practice most of them.

    Args:
        overlaps: (..., n, n) whether a pair is too close, by falling score along both axes.
    """
    earlier = overlaps.triu(1)
    keep = ~torch.zeros_like(overlaps[..., 0])

    def improve(keep: Tensor, is_open: Tensor) -> tuple[Tensor, Tensor]:
        del is_open
        found = ~(earlier & keep[..., :, None]).any(dim=-2)
        return found, (found != keep).any()

    if torch.compiler.is_exporting():  # a graph has loops of its own
        start = (keep, torch.ones((), dtype=torch.bool, device=keep.device))
        kept: Tensor = while_loop(lambda _, is_open: is_open.clone(), improve, start)[0]  # type: ignore[no-untyped-call]
        return kept
    is_open = torch.tensor(True)
    while is_open:
        keep, is_open = improve(keep, is_open)
    return keep


def _find_suppressed(rest: Tensor, centres: Tensor, kept: Tensor, threshold: float) -> Tensor:
    """Return the places of the boxes of `rest` that a kept one suppresses, of each as often as it is met.

    If the IoU of two boxes exceeds t, they have at least t times the larger width in common, and their widths differ by
    a factor of at most 1 / t. So the centres of what a kept box suppresses are in a range that its width tells. Of
    these, most lie above or below it.

    Args:
        rest, kept: as in `_overlap`; the former by place.
        centres: of `rest`, by place.
    """
    if not len(centres):
        return centres.long()
    widths = kept[2] - kept[0]
    reach = widths * (max((1 / max(threshold, SLACK) - 1) / 2, 1 - threshold) + SLACK)
    reach = torch.minimum(reach, (widths + (rest[2] - rest[0]).max()) / 2)
    middle = (kept[0] + kept[2]) / 2
    slack = SLACK + SLACK * middle.abs()
    first = torch.searchsorted(centres, middle - reach - slack)
    counts = torch.searchsorted(centres, middle + reach + slack, right=True) - first
    by = torch.repeat_interleave(counts)
    offsets = first - (counts.cumsum(0) - counts)
    met = torch.arange(len(by), device=rest.device) + offsets.index_select(0, by)
    is_level = rest[1].index_select(0, met) < kept[3].index_select(0, by)
    is_level &= rest[3].index_select(0, met) > kept[1].index_select(0, by)
    level = is_level.nonzero().squeeze(1)
    met, by = met.index_select(0, level), by.index_select(0, level)
    return met[_overlap(rest.index_select(1, met), kept.index_select(1, by), threshold)]


def _overlap(first: Tensor, second: Tensor, threshold: float) -> Tensor:
    """Return whether the IoU of boxes exceeds the threshold; never for boxes of different classes.

    Args:
        first, second: (5, ...): edges and areas of boxes; or (6, ...) with their classes. Other axes broadcast.
    """
    width = torch.minimum(first[2], second[2]).sub_(torch.maximum(first[0], second[0])).clamp_(min=0)
    height = torch.minimum(first[3], second[3]).sub_(torch.maximum(first[1], second[1])).clamp_(min=0)
    common = width.mul_(height)
    found = common > (first[4] + second[4]).sub_(common).mul_(threshold)
    return found & (first[5] == second[5]) if len(first) > 5 else found
