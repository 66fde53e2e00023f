"""Weak localization: how well a map of an image, made without boxes in training, tells where an object is.

Sources: MaxBoxAcc, Choe et al. 2020, arXiv:2001.07437, section 4.1, at an IoU of 0.5; the box around the largest
connected part, Zhou et al. 2016, arXiv:1512.04150, section 3.2; pointing game, Zhang et al. 2016, arXiv:1608.00507.
Unlike the first, the threshold is chosen on other images than those that are scored.
Shapes: N images, H rows, W columns, B objects, T thresholds; maps (N, H, W) from 0 to 1, boxes (x_min, y_min, x_max,
y_max), objects (N, B, 4), of NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

THRESHOLDS = np.linspace(0, 1, 101)[
    1:
]  # of maps, or sides of the box in the centre as a share of the image's
LEAST_IOU = 0.5

Array = NDArray[np.float64]


def box_around(heat: NDArray[np.floating], threshold: float) -> Array:
    """Return the box around the largest connected part of a map (H, W) that reaches the threshold; NaN if none does."""
    parts, count = ndimage.label(heat >= threshold)
    if not count:
        return np.full(4, np.nan)
    largest = np.bincount(parts.ravel())[1:].argmax()
    rows, columns = ndimage.find_objects(parts)[largest]
    return np.array([columns.start, rows.start, columns.stop, rows.stop], np.float64)


def boxes_of_maps(maps: Sequence[NDArray[np.floating]] | NDArray[np.floating]) -> Array:
    """Return the box of each map at each of `THRESHOLDS`: (N, T, 4)."""
    return np.array([[box_around(heat, threshold) for threshold in THRESHOLDS] for heat in maps])


def centre_boxes(sides: tuple[int, int]) -> Array:
    """Return boxes in the centre of an image of some rows and columns, as large as each of `THRESHOLDS`: (T, 4)."""
    rows, columns = sides
    halves = np.stack([THRESHOLDS * columns, THRESHOLDS * rows], axis=1) / 2
    centre = np.array([columns, rows]) / 2
    return np.concatenate([centre - halves, centre + halves], axis=1)


def are_found(boxes: Array, objects: Array) -> NDArray[np.bool_]:
    """Return whether boxes overlap an object of their image by an IoU of `LEAST_IOU`: (N, T).

    Args:
        boxes: (N, T, 4), or (T, 4) for the same ones in each image.
    """
    boxes, objects = np.broadcast_to(boxes, (len(objects), *boxes.shape[-2:]))[:, :, None], objects[:, None]
    low, high = np.maximum(boxes[..., :2], objects[..., :2]), np.minimum(boxes[..., 2:], objects[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    union = _areas(boxes) + _areas(objects) - common
    found: NDArray[np.bool_] = np.asarray(common >= LEAST_IOU * union).any(axis=-1)  # never of NaN
    return found


def are_hit(points: Array, objects: Array) -> NDArray[np.bool_]:
    """Return whether points (N, 2) of x and y lie in an object of their image: (N,)."""
    inside = np.asarray((points[:, None] >= objects[..., :2]) & (points[:, None] < objects[..., 2:]))
    found: NDArray[np.bool_] = inside.all(axis=-1).any(axis=-1)
    return found


def brightest(maps: NDArray[np.floating]) -> Array:
    """Return x and y of the middle of the brightest pixel of each map: (N, 2)."""
    rows, columns = np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[1:])
    return np.stack([columns, rows], axis=1) + 0.5


def _areas(boxes: Array) -> Array:
    found: Array = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return found
