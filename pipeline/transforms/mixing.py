"""Mixing: combine pairs of images of a batch, weighting the losses of both labels.

Shapes: images (N, H, W, C) uint8; targets are labels (N,) or masks (N, H, W).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.transforms.settings import check_alpha

Array = NDArray[np.uint8]


class Mixed(NamedTuple):
    """A mixed batch: the loss is `weight` * loss(`targets`) + (1 - `weight`) * loss(`partners`)."""

    images: Array
    targets: Array
    partners: Array
    weight: float


@runtime_checkable
class Mixing(Protocol):
    """A function that mixes a batch; the same seed gives the same mix."""

    def __call__(self, images: Array, targets: Array, *, are_masks: bool, seed: int) -> Mixed:
        """Return the mixed batch.

        Args:
            are_masks: whether targets are masks (N, H, W), i.e. aligned with the pixels of the images.
        """
        ...


class Mixup:
    """Blend each image of a batch with another one (Zhang et al. 2018, arXiv:1710.09412).

    One weight is drawn per batch, as in the authors' code.

    Args:
        alpha: of the Beta(alpha, alpha) distribution of the weight, above 0; the paper takes 0.1 to 0.4.
    """

    def __init__(self, alpha: float) -> None:
        check_alpha(alpha)
        self.alpha = alpha

    def __call__(self, images: Array, targets: Array, *, are_masks: bool, seed: int) -> Mixed:  # noqa: ARG002
        """Return weight x + (1 - weight) x', rounded to bytes."""
        weight, order, _ = _draws(len(images), self.alpha, seed)
        blend = weight * images.astype(np.float32) + (1 - weight) * images[order].astype(np.float32)
        return Mixed(np.rint(blend).astype(np.uint8), targets, targets[order], weight)


class CutMix:
    """Paste a rectangle of another image into each image of a batch (Yun et al. 2019, arXiv:1905.04899).

    The whole batch shares one rectangle, as in the authors' code. Labels are weighted by the area that is kept; masks
    are pasted like the images.

    Args:
        alpha: of the Beta(alpha, alpha) distribution of the share that is kept, above 0; 1 in the paper.
    """

    def __init__(self, alpha: float) -> None:
        check_alpha(alpha)
        self.alpha = alpha

    def __call__(self, images: Array, targets: Array, *, are_masks: bool, seed: int) -> Mixed:
        """Return the batch with rectangles pasted."""
        share, order, random = _draws(len(images), self.alpha, seed)
        rows, columns = images.shape[1:3]
        top, bottom = _cut(rows, share, random)
        left, right = _cut(columns, share, random)
        inside = (slice(None), slice(top, bottom), slice(left, right))
        images = images.copy()
        images[inside] = images[order][inside]
        if are_masks:
            targets = targets.copy()
            targets[inside] = targets[order][inside]
            return Mixed(images, targets, targets, 1.0)
        return Mixed(images, targets, targets[order], 1 - (bottom - top) * (right - left) / (rows * columns))


def _draws(count: int, alpha: float, seed: int) -> tuple[float, NDArray[np.int64], np.random.Generator]:
    """Return a weight in [0, 1], a permutation that gives the partners, and the generator for further draws."""
    random = np.random.default_rng(seed)
    return float(random.beta(alpha, alpha)), random.permutation(count), random


def _cut(side: int, share: float, random: np.random.Generator) -> tuple[int, int]:
    """Return an interval of sqrt(1 - share) of a side around a random centre, clipped to the side."""
    half = int(side * (1 - share) ** 0.5) // 2
    centre = int(random.integers(side))
    return max(centre - half, 0), min(centre + half, side)
