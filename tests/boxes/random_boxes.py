"""Images of random boxes for the tests of matching: some empty, some crowds, equal confidences and equal boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUM_CLASSES, MOST = 3, 20

Array = NDArray[np.float64]


def random_boxes(seed: int, *, num_images: int = 40) -> tuple[Array, Array]:
    """Return detections (N, D, 6) by falling confidence, and objects (N, B, 6), as `match` takes them."""
    random = np.random.default_rng(seed)
    detections = np.full((num_images, MOST, 6), -1.0)
    objects = np.full((num_images, 8, 6), -1.0)
    for image in range(num_images):
        true = _boxes(random, int(random.integers(0, 8)))
        labels = random.integers(0, NUM_CLASSES, len(true))
        chosen = random.integers(0, max(len(true), 1), 10 * bool(len(true)))
        near = true[chosen] + random.integers(-6, 7, (len(chosen), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        guessed = np.concatenate((near, _boxes(random, int(random.integers(0, 6)))))
        confidences = -np.sort(-random.integers(0, 12, len(guessed)) / 12)  # ties
        detections[image, : len(guessed), :4] = guessed
        detections[image, : len(guessed), 4] = random.integers(0, NUM_CLASSES, len(guessed))
        detections[image, : len(chosen) * 4 // 5, 4] = labels[chosen[: len(chosen) * 4 // 5]]
        detections[image, : len(guessed), 5] = confidences
        objects[image, : len(true), :4] = true
        objects[image, : len(true), 4] = labels
        objects[image, : len(true), 5] = random.random(len(true)) < 0.15
    return detections, objects


def _boxes(random: np.random.Generator, count: int) -> Array:
    corners = random.integers(0, 200, (count, 2))
    return np.concatenate((corners, corners + random.integers(4, 140, (count, 2))), axis=1).astype(float)
