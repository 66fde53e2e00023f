"""Precision and recall of many samples of the same images, whose detections are sorted once.

A sample draws images with replacement, and the detections of an image that is drawn w times count w times. So precision
at a detection that is right is the weighted number of right ones up to it over that of all that are right or wrong, and
no sample is sorted again. Results equal those of `Matches` of the rows of the drawn images to the byte.
Shapes: N images, K classes, S sizes, T thresholds, n detections of all classes, by class and falling confidence; r of
them are right at some threshold. A segment is a class at a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes.average_precision import LEFT_OUT, RECALLS, RIGHT, SIZES, THRESHOLDS, precisions
from pipeline.boxes.matches import TABLE, Matches

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

NUM_RECALLS = len(RECALLS)


@dataclass(frozen=True)
class _Sorted:
    """The detections that count for objects of a size.

    Args:
        images: (n,) of each detection.
        firsts: (K,) place of the first detection of each class.
        right: (r,) places of those that are right, by segment and place.
        segments: (r,) of these.
        starts: (K T + 1,) number of right ones before each segment.
        left_out: places of those that are left out at a threshold, by segment and place.
        before: (r,) number of entries of `left_out` before each right one, and (r,) before its segment.
    """

    images: Indices
    firsts: Indices
    right: Indices
    segments: Indices
    starts: Indices
    left_out: Indices
    before: tuple[Indices, Indices]


class Resampling:
    """The matches of some images, from which samples are drawn.

    Args:
        matches: of all images.
    """

    def __init__(self, matches: Matches) -> None:
        self.matches = matches
        parts = [matches.detections(index) for index in range(matches.num_classes)]
        orders = [np.argsort(-part.confidences, kind="stable") for part in parts]
        self._labels = np.repeat(np.arange(len(parts)), [len(order) for order in orders])
        self._images, self._ranks, codes, confidences = (
            np.concatenate([getattr(part, name)[order] for part, order in zip(parts, orders, strict=True)])
            for name in ("images", "ranks", "codes", "confidences")
        )
        self._codes: Indices = codes
        is_tied = (np.diff(confidences) == 0) & (np.diff(self._labels) == 0)
        self.tied = np.unique(self._labels[1:][is_tied & (np.diff(codes, axis=0) != 0).any(axis=1)]).tolist()
        self.sorted = [self._sort(size) for size in range(len(SIZES))]
        every = self.sorted[0]
        used = np.flatnonzero((TABLE[codes[:, 0]] != LEFT_OUT).any(axis=1))
        self.right_ranks = self._ranks[used][every.right]
        self.image_counts = np.stack(
            [matches.image_counts(size) for size in range(len(SIZES))], axis=2
        ).astype(np.float64)  # (N, K, S)

    def draw(self, images: NDArray[np.integer]) -> Drawn:
        """Return the matches of a sample.

        Args:
            images: indices of those that are drawn, in order; any number of times each.
        """
        weights = np.bincount(images, minlength=len(self.matches.rows))
        return Drawn(self, images, weights)

    def _sort(self, size: int) -> _Sorted:
        outcomes = TABLE[self._codes[:, size]]
        used = np.flatnonzero((outcomes != LEFT_OUT).any(axis=1))
        outcomes, labels = outcomes[used], self._labels[used]
        num_segments, span = self.matches.num_classes * len(THRESHOLDS), len(used) + 1

        def find(outcome: int) -> Indices:
            """Return segment * span + place of each, sorted."""
            places, thresholds = np.nonzero(outcomes == outcome)
            return np.sort((labels[places] * len(THRESHOLDS) + thresholds) * span + places)

        right, left_out = find(RIGHT), find(LEFT_OUT)
        segments = right // span
        return _Sorted(
            images=self._images[used],
            firsts=np.searchsorted(labels, np.arange(self.matches.num_classes)),
            right=right % span,
            segments=segments,
            starts=np.searchsorted(segments, np.arange(num_segments + 1)),
            left_out=left_out % span,
            before=(np.searchsorted(left_out, right), np.searchsorted(left_out, segments * span)),
        )


@dataclass(frozen=True)
class Drawn:
    """The matches of a sample of images, scored as `Matches` are.

    Args:
        source: what it is drawn from.
        images: indices of those that are drawn.
        weights: (N,) how often each is drawn.
    """

    source: Resampling
    images: NDArray[np.integer]
    weights: Indices

    @cached_property
    def counts(self) -> Indices:
        """Number of objects of each class and size: (K, S)."""
        found: Indices = np.tensordot(self.weights.astype(np.float64), self.source.image_counts, 1).astype(
            np.int64
        )
        return found

    def precisions(self, size: str = "all") -> Array:
        """Return the precision at 101 recalls, see `Matches.precisions`: (K, T, 101)."""
        place = list(SIZES).index(size)
        counts = self.counts[:, place]
        found = self._precisions(self.source.sorted[place], counts)
        for index in self.source.tied:  # equal confidences are told apart by the order of the drawn images
            if counts[index]:
                part = self._own.detections(index)
                found[index] = precisions(part.confidences, TABLE[part.codes[:, place]], int(counts[index]))
        return found

    def recalls(self, most: int) -> Array:
        """Return the share of objects found, see `Matches.recalls`: (K, T)."""
        every, counts = self.source.sorted[0], self.counts[:, 0]
        hits = self.weights[every.images][every.right] * (self.source.right_ranks < most)
        sums = np.bincount(every.segments, hits, minlength=len(every.starts) - 1).reshape(len(counts), -1)
        found = np.full(sums.shape, np.nan)
        np.divide(sums, counts[:, None], out=found, where=counts[:, None] > 0)
        return found

    @cached_property
    def _own(self) -> Matches:
        matches = self.source.matches
        return Matches(matches.rows[self.images], matches.num_detections, matches.num_classes)

    def _precisions(self, parts: _Sorted, counts: Indices) -> Array:
        weights = self.weights[parts.images]
        sums, left_out = _sums(weights), _sums(weights[parts.left_out])
        right, classes = _sums(weights[parts.right]), parts.segments // len(THRESHOLDS)
        hits = right[1:] - right[parts.starts[parts.segments]]
        seen = sums[parts.right + 1] - sums[parts.firsts[classes]]
        seen -= left_out[parts.before[0]] - left_out[parts.before[1]]
        own = np.divide(hits, seen, out=np.zeros(len(hits)), where=seen > 0)

        slots = np.arange(len(hits)) - parts.starts[parts.segments]
        best = np.zeros((len(parts.starts) - 1, int(slots.max(initial=0)) + 1))
        best[parts.segments, slots] = own
        best = np.maximum.accumulate(best[:, ::-1], axis=1)[:, ::-1]

        tables = [_reached(int(count)) for count in counts]
        firsts = np.cumsum([0, *map(len, tables)])[:-1]
        reached = np.concatenate(tables)[firsts[classes] + hits]  # recalls up to each right one
        earlier = np.concatenate((np.zeros(1, np.int64), reached[:-1])) * (slots > 0)
        totals = np.zeros(len(best), np.int64)
        np.maximum.at(totals, parts.segments, reached)
        found: Array = np.zeros((len(best), NUM_RECALLS))
        found[np.arange(NUM_RECALLS) < totals[:, None]] = np.repeat(
            best[parts.segments, slots], reached - earlier
        )
        found = found.reshape(len(counts), len(THRESHOLDS), NUM_RECALLS)
        found[counts == 0] = np.nan
        return found


def _sums(values: Indices) -> Indices:
    """Return the sums of the first 0, 1, 2 ... values."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))


@lru_cache(maxsize=4096)
def _reached(count: int) -> Indices:
    """Return how many of the 101 recalls are reached by finding 0, 1, ... of `count` objects."""
    if not count:
        return np.zeros(1, np.int64)
    needed = np.searchsorted(np.arange(1, count + 1) / count, RECALLS) + 1
    found: Indices = np.searchsorted(needed, np.arange(count + 1), side="right")
    return found
