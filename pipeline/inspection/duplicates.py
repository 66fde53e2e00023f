"""Images that are the same: by their bytes, or nearly, by a perceptual hash and a thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.inspection.survey import COLUMNS, FLAT, ROWS, Survey

NEAR = 3.0  # grey levels by which the thumbnails of near duplicates differ in the mean
MOST_BITS = 4  # in which their hashes differ
NEIGHBOURS = 4  # in the order of the hashes, with which each is compared
EXAMPLES = 5
PIECE = 2**16  # pairs of thumbnails that are compared at once


@dataclass(frozen=True)
class Duplicates:
    """Groups of images that are the same.

    Args:
        groups: how many there are.
        images: how many images are in them.
        across_classes: groups whose images are of several classes.
        across_splits: groups whose images are in several splits.
        examples: names of the images of some groups, those across splits or classes first.
    """

    groups: int
    images: int
    across_classes: int
    across_splits: int
    examples: list[list[str]]


def find_equal(survey: Survey, named: Callable[[Any], tuple[int, ...] | None]) -> Duplicates:
    """Find the images whose files have the same bytes."""
    digests = np.frombuffer(survey.digests, dtype="S16")
    return _collect(survey, _groups(digests, np.arange(len(digests))), named)


def find_near(survey: Survey, named: Callable[[Any], tuple[int, ...] | None]) -> Duplicates:
    """Find the images that look the same, but whose files differ; plain images look like nothing."""
    thumbnails = np.frombuffer(survey.thumbnails, np.uint8).reshape(-1, ROWS, COLUMNS)
    digests = np.frombuffer(survey.digests, dtype="S16")
    ranges = thumbnails.max(axis=(1, 2), initial=0) - thumbnails.min(axis=(1, 2), initial=255)
    indices = np.flatnonzero(ranges >= FLAT)
    near = []
    for group in _groups(_components(thumbnails[indices]), np.arange(len(indices))):
        close = indices[group]
        _, first = np.unique(digests[close], return_index=True)
        if len(first) > 1:
            near.append(close[np.sort(first)])
    return _collect(survey, near, named)


def _components(thumbnails: NDArray[np.uint8]) -> NDArray[Any]:
    """Return a number for each thumbnail, the same for those that look alike.

    Hashes that differ in few bits agree in one of their bytes, mostly. So they are sorted by each byte in turn, then by
    the rest, and each is compared with those that follow it: that takes little time for millions.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    bits = np.packbits(thumbnails[:, :, 1:] > thumbnails[:, :, :-1], axis=2).reshape(-1, ROWS)
    hashes = np.ascontiguousarray(bits).view(">u8").ravel().astype(np.uint64)
    every = np.arange(len(bits), dtype=np.int32)
    numbers = every  # of each thumbnail, the index of the first one that looks alike
    for byte in range(ROWS):
        order = np.argsort(
            np.ascontiguousarray(np.roll(bits, byte, axis=1)).view(">u8").ravel(), kind="stable"
        ).astype(np.int32)
        pairs = [np.stack([every, numbers])]
        for step in range(1, NEIGHBOURS + 1):
            first, second = order[:-step], order[step:]
            is_close = np.bitwise_count(hashes[first] ^ hashes[second]) <= MOST_BITS
            pairs += list(_near_pairs(thumbnails, first[is_close], second[is_close]))
        first, second = np.concatenate(pairs, axis=1)
        graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(bits), len(bits)))
        labels: NDArray[Any] = connected_components(graph, directed=False)[1]
        numbers = np.unique(labels, return_index=True)[1].astype(np.int32)[labels]
    return numbers


def _near_pairs(
    thumbnails: NDArray[np.uint8], first: NDArray[np.int32], second: NDArray[np.int32]
) -> Iterator[NDArray[np.int32]]:
    """Yield the pairs (2, P) whose thumbnails differ little."""
    for start in range(0, len(first), PIECE):
        pairs = np.stack([first[start : start + PIECE], second[start : start + PIECE]])
        difference = np.abs(thumbnails[pairs[0]].astype(np.int16) - thumbnails[pairs[1]]).mean(axis=(1, 2))
        yield pairs[:, difference <= NEAR]


def _groups(keys: NDArray[Any], indices: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of each key that occurs several times."""
    chosen = keys[indices]
    order = np.argsort(chosen, kind="stable")
    is_same = chosen[order][1:] == chosen[order][:-1]
    starts = np.flatnonzero(np.diff(np.concatenate([[0], is_same.astype(np.int8)])) == 1)
    ends = np.flatnonzero(np.diff(np.concatenate([is_same.astype(np.int8), [0]])) == -1)
    for start, end in zip(starts, ends, strict=True):
        yield np.sort(indices[order[start : end + 2]])


def _collect(survey: Survey, groups: Any, named: Callable[[Any], tuple[int, ...] | None]) -> Duplicates:
    num_groups = images = across_classes = across_splits = 0
    examples: list[tuple[bool, list[str]]] = []
    for group in groups:
        samples = [survey.samples[survey.readable[index]] for index in group]
        is_across_classes = len({named(sample) for sample in samples}) > 1
        is_across_splits = len({sample.split for sample in samples}) > 1
        num_groups, images = num_groups + 1, images + len(samples)
        across_classes += is_across_classes
        across_splits += is_across_splits
        is_wrong = is_across_classes or is_across_splits
        if len(examples) < EXAMPLES or (is_wrong and not all(each for each, _ in examples)):
            examples.append((is_wrong, [sample.file for sample in samples[:3]]))
            examples = sorted(examples, key=lambda each: not each[0])[:EXAMPLES]
    return Duplicates(num_groups, images, across_classes, across_splits, [names for _, names in examples])
