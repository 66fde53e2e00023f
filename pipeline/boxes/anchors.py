"""Anchors: the typical widths and heights of boxes, found by k-means with the distance 1 - IoU.

Source: Redmon and Farhadi 2016, arXiv:1612.08242, section 2, "Dimension Clusters".
Shapes: n boxes as sizes (n, 2): width and height; k anchors (k, 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_TURNS = 300

Array = NDArray[np.float64]


def shape_iou(sizes: Array, anchors: Array) -> Array:
    """Return the IoU of boxes and anchors with the same centre: (n, k)."""
    common = np.minimum(sizes[:, None], anchors[None]).prod(axis=-1)
    union = sizes.prod(axis=-1)[:, None] + anchors.prod(axis=-1)[None] - common
    found: Array = common / union
    return found


def mean_best_iou(sizes: Array, anchors: Array) -> float:
    """Return the mean over boxes of the IoU with the best of some anchors."""
    return float(shape_iou(sizes, anchors).max(axis=1).mean())


def find_anchors(sizes: Array, count: int, *, seed: int) -> Array:
    """Return `count` anchors by growing area, fewer if there are fewer different boxes.

    Each turn moves an anchor to the mean width and height of the boxes nearest to it; the best anchors of all turns are
    returned, since that mean need not have the best IoU.

    Args:
        sizes: of at least one box, each above 0.
        seed: the same seed and boxes always give the same anchors.
    """
    random, different = np.random.default_rng(seed), np.unique(sizes, axis=0)
    anchors = different[[random.integers(len(different))]]
    while len(anchors) < min(
        count, len(different)
    ):  # k-means++ (Arthur and Vassilvitskii 2007), here with 1 - IoU
        far = (1 - shape_iou(different, anchors).max(axis=1)) ** 2
        anchors = np.concatenate((anchors, different[[random.choice(len(far), p=far / far.sum())]]))
    best, before = anchors, None
    for _ in range(MOST_TURNS):
        nearest = shape_iou(sizes, anchors).argmax(axis=1)
        if before is not None and np.array_equal(nearest, before):
            break
        before = nearest
        parts = (sizes[nearest == index] for index in range(len(anchors)))
        anchors = np.stack(
            [part.mean(axis=0) if len(part) else old for part, old in zip(parts, anchors, strict=True)]
        )
        if mean_best_iou(sizes, anchors) > mean_best_iou(sizes, best):
            best = anchors
    return best[np.lexsort((best[:, 0], best.prod(axis=1)))]


def count_lost(targets: NDArray[np.floating], anchors: Array, stride: int) -> int:
    """Return how many objects share their cell and best anchor with an earlier one of their image.

    Args:
        targets: (N, B, 6): box, class, and whether it is to be ignored; class -1 for none.
        stride: pixels of the image for each cell.
    """
    image, place = np.nonzero((targets[..., 4] >= 0) & (targets[..., 5] <= 0))
    boxes = targets[image, place, :4].astype(np.float64)
    best = shape_iou(boxes[:, 2:] - boxes[:, :2], anchors).argmax(axis=1)
    cells = ((boxes[:, :2] + boxes[:, 2:]) / 2 // stride).astype(np.int64)
    return len(image) - len(np.unique(np.column_stack((image, best, cells)), axis=0))
