"""How well regions cover objects: the share of objects that one of the first N regions of their image overlaps.

Source: average recall, Hosang et al. 2015, arXiv:1502.05082, section 5: the mean over IoUs from 0.5 to 0.95.
Shapes: N images, R regions and B objects of each, K numbers of regions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes.average_precision import THRESHOLDS, overlaps

NO_OBJECT = -1.0

Array = NDArray[np.float64]


def best_overlaps(regions: Sequence[Array], objects: Array, counts: Sequence[int]) -> Array:
    """Return the largest IoU of each object with the first regions of its image: (N, B, K).

    Args:
        regions: of each image, boxes (R, 4), the most promising first.
        objects: (N, B, 6): box, class, and whether it is to be ignored; class -1 for none.
        counts: numbers of regions; of an image with fewer, all of them.

    Returns:
        `NO_OBJECT` for what is no object, or to be ignored.
    """
    found = np.full((*objects.shape[:2], len(counts)), NO_OBJECT)
    is_object = (objects[..., 4] >= 0) & (objects[..., 5] <= 0)
    for index, boxes in enumerate(regions):
        own = objects[index, is_object[index]]
        ious = overlaps(boxes[None], own[None])[0]
        for place, count in enumerate(counts):
            found[index, is_object[index], place] = ious[:count].max(axis=0, initial=0)
    return found


def recall(best: Array) -> float:
    """Return the share of objects (...,) that are covered with an IoU of at least 0.5; NaN without objects."""
    return _share(best, THRESHOLDS[:1])


def average_recall(best: Array) -> float:
    """Return the mean over `THRESHOLDS` of the share of objects (...,) that are covered; NaN without objects."""
    return _share(best, THRESHOLDS)


def _share(best: Array, thresholds: Array) -> float:
    ious = best[best != NO_OBJECT]
    return float((ious[:, None] >= thresholds).mean()) if ious.size else float("nan")
