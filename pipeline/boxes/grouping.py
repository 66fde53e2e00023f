"""Regions of an image that may be objects: its segments, and what they become when similar neighbours are grouped.

Source: selective search, Uijlings et al. 2013, https://doi.org/10.1007/s11263-013-0620-5, algorithm 1, the measures of
section 3.2 and the order of section 3.3. Unlike the paper, without the measure of texture, and in the image's own
channels.
Shapes: H rows, W columns, C channels, S segments; images (H, W, C) uint8, segments (H, W) with indices from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 25  # of the histogram of a channel
MEASURES = (
    ("colour", "size", "fill"),
    ("size", "fill"),
)  # sums of them, each of which groups the segments anew

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Regions:
    """Some regions of an image.

    Args:
        boxes: (S, 4) x_min, y_min, x_max, y_max, half-open.
        sizes: (S,), as a share of the pixels of the image.
        colours: (S, C * BINS), shares of each region's pixels that sum to 1.
    """

    boxes: Array
    sizes: Array
    colours: Array


def propose(
    image: NDArray[np.uint8], segmentations: Sequence[NDArray[np.integer]], random: np.random.Generator
) -> Array:
    """Return the boxes (n, 4) of all regions that segments and their groups make, each once.

    Those that were grouped late come first, as far as chance does not decide: place i of a hierarchy, counted from the
    whole image, is sorted by i times a random number, so that no hierarchy has all first places.

    Args:
        segmentations: finer and coarser segments (H, W) of the image.
    """
    hierarchies = [
        group(image, segments, measures)[::-1] for segments in segmentations for measures in MEASURES
    ]
    places = [np.arange(1, len(each) + 1) * random.random(len(each)) for each in hierarchies]
    boxes = np.concatenate(hierarchies)[np.argsort(np.concatenate(places), kind="stable")]
    _, first = np.unique(boxes, axis=0, return_index=True)
    chosen: Array = boxes[np.sort(first)]
    return chosen


def group(image: NDArray[np.uint8], segments: NDArray[np.integer], measures: Sequence[str]) -> Array:
    """Return the boxes (2 S - 1, 4) of segments, then of what becomes of them as similar neighbours are joined.

    Args:
        measures: of similarity, whose sum counts: `colour`, `size`, `fill`.
    """
    count = int(segments.max()) + 1
    regions = _measure(image, segments, room=2 * count - 1)
    similar = np.full((2 * count - 1, 2 * count - 1), -np.inf)
    is_near = np.zeros(similar.shape, np.bool_)
    for first, second in _neighbours(segments):
        is_near[first, second] = is_near[second, first] = True
    for index in range(count):
        _compare(index, np.flatnonzero(is_near[index]), regions, measures, similar)
    best = similar.max(axis=1)  # of each region; finding the best pair then takes one pass over them
    for new in range(count, 2 * count - 1):
        first = int(best.argmax())
        second = int(similar[first].argmax())
        _join(new, first, second, regions)
        near = np.flatnonzero(is_near[first] | is_near[second])
        near = near[(near != first) & (near != second)]
        for old in (first, second):
            is_near[old] = is_near[:, old] = False
            similar[old] = similar[:, old] = -np.inf
        is_near[new, near] = is_near[near, new] = True
        _compare(new, near, regions, measures, similar)
        changed = [first, second, new, *near]
        best[changed] = similar[changed].max(axis=1)
    return regions.boxes


def _measure(image: NDArray[np.uint8], segments: NDArray[np.integer], *, room: int) -> Regions:
    """Measure segments; rows for the regions that are to come are empty."""
    flat, count = segments.ravel(), int(segments.max()) + 1
    sizes, boxes = np.zeros(room), np.zeros((room, 4))
    counts = np.bincount(flat, minlength=count)
    sizes[:count] = counts / flat.size
    for axis, places in enumerate(np.indices(segments.shape)[::-1]):
        boxes[:count, axis] = segments.size
        np.minimum.at(boxes[:, axis], flat, places.ravel())
        np.maximum.at(boxes[:, 2 + axis], flat, places.ravel() + 1)
    channels = image.shape[2]
    colours = np.zeros((room, channels * BINS))
    for channel in range(channels):
        bins = image[..., channel].ravel().astype(np.int64) * BINS // 256
        found = np.bincount(flat * BINS + bins, minlength=count * BINS).reshape(count, BINS)
        colours[:count, channel * BINS : (channel + 1) * BINS] = found / counts[:, None] / channels
    return Regions(boxes, sizes, colours)


def _neighbours(segments: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the pairs of segments that touch each other, (n, 2)."""
    across = np.stack((segments[:, :-1], segments[:, 1:]), axis=-1).reshape(-1, 2)
    down = np.stack((segments[:-1], segments[1:]), axis=-1).reshape(-1, 2)
    pairs = np.concatenate((across, down))
    found: NDArray[np.integer] = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return found


def _compare(
    index: int, others: NDArray[np.integer], regions: Regions, measures: Sequence[str], similar: Array
) -> None:
    """Write down how similar a region is to some others, by equations 1 to 6 of section 3.2."""
    total = np.zeros(len(others))
    sizes = regions.sizes[index] + regions.sizes[others]
    if "colour" in measures:
        total += np.minimum(regions.colours[index], regions.colours[others]).sum(axis=1)
    if "size" in measures:
        total += 1 - sizes
    if "fill" in measures:
        low = np.minimum(regions.boxes[index, :2], regions.boxes[others, :2])
        high = np.maximum(regions.boxes[index, 2:], regions.boxes[others, 2:])
        total += 1 - ((high - low).prod(axis=1) / _num_pixels(regions) - sizes)
    similar[index, others] = similar[others, index] = total


def _num_pixels(regions: Regions) -> float:
    """Return rows times columns of the image, which all segments together cover."""
    return float(regions.boxes[:, 2].max() * regions.boxes[:, 3].max())


def _join(new: int, first: int, second: int, regions: Regions) -> None:
    """Measure what two regions are together."""
    pair = [first, second]
    sizes = regions.sizes[pair]
    regions.sizes[new] = sizes.sum()
    regions.colours[new] = sizes @ regions.colours[pair] / sizes.sum()
    regions.boxes[new, :2] = regions.boxes[pair, :2].min(axis=0)
    regions.boxes[new, 2:] = regions.boxes[pair, 2:].max(axis=0)
