"""Boxes and points as albumentations moves them: as points that lie on pixels, whose middles are whole numbers there.

A box is moved as points on its outline, and is what holds them after all steps: moved as a box by each step, it would
grow with each that turns or warps it.
Shapes: boxes (B, 4 or more): x_min, y_min, x_max, y_max in pixels, class index, and more; points (K, 2 or more): x, y
in pixels, and more. The pixel in column c covers x from c to c + 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

Floats = NDArray[np.floating[Any]]

LABEL = 4  # column of boxes
SIDE_POINTS = 16  # of each side of a box, a corner among them
UNUSED = 3  # columns of keypoints: z, angle, scale


def boxes_to_points(boxes: Floats) -> Floats:
    """Return points on the outlines of boxes: (64 B, 2)."""
    share = np.arange(SIDE_POINTS) / SIDE_POINTS
    none, all_of_it = np.zeros(SIDE_POINTS), np.ones(SIDE_POINTS)
    across = np.concatenate([share, all_of_it, 1 - share, none])  # clockwise from the upper left corner
    down = np.concatenate([none, share, all_of_it, 1 - share])
    sides = boxes[:, 2:4] - boxes[:, :2]
    points: Floats = boxes[:, None, :2] + np.stack([across, down], axis=1) * sides[:, None]
    return points.reshape(-1, 2)


def boxes_from_points(points: Floats, boxes: Floats) -> Floats:
    """Return the boxes that hold the moved points on the outlines of boxes, with the further columns of these."""
    outlines = points.reshape(len(boxes), 4 * SIDE_POINTS, 2)
    corners = [outlines.min(axis=1), outlines.max(axis=1), boxes[:, 4:]]
    return np.concatenate(corners, axis=1).astype(boxes.dtype)


def points_to_keypoints(points: Floats) -> Floats:
    """Return points as keypoints, with the number of each as the last column."""
    numbers = np.arange(len(points), dtype=float)[:, None]
    return np.concatenate([points[:, :2] - 0.5, np.zeros((len(points), UNUSED)), numbers], axis=1)


def points_from_keypoints(moved: Floats, count: int) -> Floats:
    """Return moved points (count, 2).

    Raises:
        ConfigError: some are missing, or there are more of them.
    """
    moved = np.asarray(moved).reshape(-1, 2 + UNUSED + 1)
    if moved[:, -1].tolist() != list(range(count)):
        raise ConfigError(
            "augmentation.steps",
            "a step drops or repeats points, so that it is unknown which is which",
            hint="set its keypoint_remapping_method to direct and its border_mode to 0, or use another step",
        )
    points: Floats = moved[:, :2] + 0.5
    return points
