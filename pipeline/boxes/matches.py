"""Matches of detections with objects as rows of numbers, one per image, and the scores of a set of such rows.

Shapes: N images, D detections and B objects of each, S sizes, T thresholds, K classes; rows (N, D x (2 + S) + B x 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes.average_precision import SIZES, THRESHOLDS, match, precisions, recalls

OUTCOMES = 3  # of a detection at a threshold
PLACES = OUTCOMES ** np.arange(len(THRESHOLDS))
TABLE = (np.arange(OUTCOMES ** len(THRESHOLDS))[:, None] // PLACES % OUTCOMES).astype(np.int8)

Array = NDArray[np.float64]


def encode(detections: Array, objects: Array) -> Array:
    """Return the matches of detections with objects as one row of numbers for each image.

    Args:
        detections, objects: see `match`.
    """
    outcomes, counted = match(detections, objects)
    codes = (outcomes.astype(np.int64) * PLACES).sum(axis=-1)  # (N, D, S)
    sizes = (counted * 2 ** np.arange(len(SIZES))).sum(axis=-1, keepdims=True)  # (N, B, 1)
    parts = (detections[..., 4:], codes, objects[..., 4:5], sizes)
    return np.concatenate([np.asarray(part, np.float64).reshape(len(part), -1) for part in parts], axis=1)


@dataclass(frozen=True)
class Detections:
    """The n detections of a class.

    Args:
        confidences: (n,).
        codes: (n, S) outcomes at all thresholds, see `TABLE`.
        ranks: (n,) among those of their image.
        images: (n,).
    """

    confidences: Array
    codes: NDArray[np.int64]
    ranks: NDArray[np.int64]
    images: NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """The matches of some images.

    Args:
        rows: of `encode`.
        num_detections: D.
        num_classes: K.
    """

    rows: Array
    num_detections: int
    num_classes: int

    @cached_property
    def _objects(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Classes of objects (N, B), and whether each is to be found among those of a size (N, B, S)."""
        ends = self.rows[:, (2 + len(SIZES)) * self.num_detections :]
        labels, sizes = ends.reshape(len(ends), 2, -1).swapaxes(0, 1).astype(np.int64)
        return labels, (labels >= 0)[..., None] & (sizes[..., None] >> np.arange(len(SIZES)) & 1 > 0)

    @property
    def objects(self) -> NDArray[np.int64]:
        """Number of objects of each image: (N,)."""
        return np.asarray(self._objects[1][..., 0].sum(axis=1))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of objects of each class and size: (K, S)."""
        labels, has = self._objects
        each = [np.bincount(labels[has[..., size]], minlength=self.num_classes) for size in range(len(SIZES))]
        return np.stack(each, axis=1)

    def image_counts(self, size: int) -> NDArray[np.int64]:
        """Return the number of objects of a size, by image and class: (N, K)."""
        labels, has = self._objects
        images, _ = np.nonzero(has[..., size])
        found = np.zeros((len(labels), self.num_classes), np.int64)
        np.add.at(found, (images, labels[has[..., size]]), 1)
        return found

    def detections(self, index: int) -> Detections:
        """Return the detections of a class, by image and rank."""
        labels, confidences, codes = self._rows
        is_one = labels == index
        ranks = (np.cumsum(is_one, axis=1) - 1)[is_one]
        return Detections(confidences[is_one], codes[is_one].astype(np.int64), ranks, np.nonzero(is_one)[0])

    @cached_property
    def _rows(self) -> tuple[Array, Array, Array]:
        """Class (N, D), confidence (N, D) and codes (N, D, S) of the detections."""
        count = self.num_detections
        labels, confidences = self.rows[:, : 2 * count].reshape(-1, count, 2).transpose(2, 0, 1)
        return (
            labels,
            confidences,
            self.rows[:, 2 * count : (2 + len(SIZES)) * count].reshape(-1, count, len(SIZES)),
        )

    @cached_property
    def _classes(self) -> list[Detections]:
        return [self.detections(index) for index in range(self.num_classes)]

    def precisions(self, size: str = "all") -> Array:
        """Return the precision at 101 recalls, by class and threshold: (K, T, 101); NaN for classes without objects."""
        place = list(SIZES).index(size)
        found = np.full((self.num_classes, len(THRESHOLDS), 101), np.nan)
        for index, part in enumerate(self._classes):
            if count := int(self.counts[index, place]):
                found[index] = precisions(part.confidences, TABLE[part.codes[:, place]], count)
        return found

    def recalls(self, most: int) -> Array:
        """Return the share of objects found, by class and threshold: (K, T); NaN for classes without objects.

        Args:
            most: number of detections of each image and class, those of the highest confidence.
        """
        found = np.full((self.num_classes, len(THRESHOLDS)), np.nan)
        for index, part in enumerate(self._classes):
            if count := int(self.counts[index, 0]):
                found[index] = recalls(TABLE[part.codes[part.ranks < most, 0]], count)
        return found


def mean(values: Array) -> float:
    """Return the mean of what is not NaN; NaN if nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
