"""Average precision of detections, as the evaluation of COCO defines it, and equal to that of pycocotools.

Detections of an image are matched with its objects once (`match`); every score is a function of these matches. By
falling confidence, a detection takes the free object of its class of the highest IoU, if that reaches the threshold.
What it finds then is right, and wrong without an object. It is left out if it matches an object that is to be ignored,
or if it matches none and has another size than those in question. An object that is ignored can be matched by any
number of detections, and its IoU is the share of the detection that lies inside (crowds of COCO).
Source: Lin et al. 2014, arXiv:1405.0312; the definitions at cocodataset.org.
Shapes: N images, D detections and B objects of each, S sizes, T thresholds of IoU, n detections of many images; boxes
are (x_min, y_min, x_max, y_max).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
SIZES: Mapping[str, tuple[float, float]] = {  # area in pixels, both ends included
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
WRONG, RIGHT, LEFT_OUT = 0, 1, 2

Array = NDArray[np.float64]
Outcomes = NDArray[np.int8]


def match(detections: Array, objects: Array) -> tuple[Outcomes, NDArray[np.bool_]]:
    """Match the detections of each image with its objects.

    Args:
        detections: (N, D, 6): box, class and confidence, by falling confidence; class -1 for none.
        objects: (N, B, 6): box, class, and whether it is to be ignored; class -1 for none.

    Returns:
        outcomes: (N, D, S, T) of `WRONG`, `RIGHT` and `LEFT_OUT`.
        counted: (N, B, S) whether an object of this size is to be found.
    """
    ious = overlaps(detections, objects)
    is_same = (detections[:, :, None, 4] == objects[:, None, :, 4]) & (objects[:, None, :, 4] >= 0)
    inside = _sized(objects)
    counted = inside & (objects[..., 4] >= 0)[..., None] & (objects[..., 5] <= 0)[..., None]
    fits = _sized(detections)
    outcomes = np.full((*detections.shape[:2], len(SIZES), len(THRESHOLDS)), LEFT_OUT, np.int8)
    free = np.ones((len(objects), len(SIZES), len(THRESHOLDS), objects.shape[1]), np.bool_)
    wanted = np.moveaxis(counted, 2, 1)[:, :, None]  # (N, S, 1, B)
    reusable = (objects[..., 5] > 0)[:, None, None]  # (N, 1, 1, B)
    is_detected = (detections[..., 4] >= 0) & np.isfinite(detections[..., 5])
    for place in np.flatnonzero(is_detected.any(axis=0)):
        close = is_same[:, place, None] & (ious[:, place, None] >= THRESHOLDS[:, None])  # (N, T, B)
        possible = close[:, None] & (free | reusable)
        found, to_ignore = possible & wanted, possible & ~wanted
        is_right = found.any(axis=-1)
        ranked = np.where(np.where(is_right[..., None], found, to_ignore), ious[:, place, None, None], -1.0)
        best = (
            ranked.shape[-1] - 1 - ranked[..., ::-1].argmax(axis=-1)
        )  # of equal ones the last, as pycocotools
        is_matched = is_right | to_ignore.any(axis=-1)
        taken = np.take_along_axis(free, best[..., None], axis=-1)[..., 0] & ~is_matched
        np.put_along_axis(free, best[..., None], taken[..., None], axis=-1)
        outcome = np.where(is_right, RIGHT, np.where(is_matched | ~fits[:, place, :, None], LEFT_OUT, WRONG))
        outcomes[:, place] = np.where(is_detected[:, place, None, None], outcome, LEFT_OUT)
    return outcomes, counted


def overlaps(detections: Array, objects: Array) -> Array:
    """Return the IoU of detections and objects (N, D, B); of objects to ignore, the share of the detection.

    Args:
        detections, objects: see `match`.
    """
    is_ignored = objects[..., 5] > 0
    low = np.maximum(detections[:, :, None, :2], objects[:, None, :, :2])
    high = np.minimum(detections[:, :, None, 2:4], objects[:, None, :, 2:4])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    own, others = _areas(detections)[:, :, None], _areas(objects)[:, None]
    union = np.where(is_ignored[:, None], own, own + others - common)
    found: Array = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return found


def precisions(confidences: Array, outcomes: Outcomes, count: int) -> Array:
    """Return the precision at each of the 101 recalls: (T, 101), the highest one at that recall or a larger one.

    Args:
        confidences: (n,) of the detections of one class.
        outcomes: (n, T).
        count: number of objects of the class, at least 1.
    """
    ranked = outcomes[np.argsort(-confidences, kind="stable")].T
    alarms = np.cumsum(ranked == WRONG, axis=1)
    needed = np.searchsorted(
        np.arange(1, count + 1) / count, RECALLS
    )  # objects found at each recall, but one
    best = np.zeros((len(ranked), count))
    for row, outcome in enumerate(ranked):
        ends = np.flatnonzero(outcome == RIGHT)  # where precision is highest
        hits = np.arange(1, len(ends) + 1)
        best[row, : len(ends)] = np.maximum.accumulate((hits / (hits + alarms[row, ends]))[::-1])[::-1]
    found: Array = best[:, needed]
    return found


def recalls(outcomes: Outcomes, count: int) -> Array:
    """Return the share of objects that are found, by threshold: (T,).

    Args:
        outcomes: (n, T) of the detections of one class.
        count: number of its objects, at least 1.
    """
    found: Array = (outcomes == RIGHT).sum(axis=0) / count
    return found


def _areas(boxes: Array) -> Array:
    found: Array = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return found


def _sized(boxes: Array) -> NDArray[np.bool_]:
    """Return whether each box has each size: (..., S)."""
    limits = np.array(list(SIZES.values()))
    area = _areas(boxes)[..., None]
    found: NDArray[np.bool_] = (area >= limits[:, 0]) & (area <= limits[:, 1])
    return found
