"""Segments and their groups: equal to a plain computation on masks, and worked by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.boxes.grouping import MEASURES, group, propose

Mask = NDArray[np.bool_]


def box_of(mask: Mask) -> list[float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def touch(first: Mask, second: Mask) -> bool:
    grown = first.copy()
    grown[1:] |= first[:-1]
    grown[:-1] |= first[1:]
    grown[:, 1:] |= first[:, :-1]
    grown[:, :-1] |= first[:, 1:]
    return bool((grown & second).any())


def similarity(image: NDArray[np.uint8], first: Mask, second: Mask, measures: tuple[str, ...]) -> float:
    """Return the sum of measures of two masks, from their pixels."""
    total = 0.0
    if "colour" in measures:
        for channel in range(image.shape[2]):
            shares = [
                np.histogram(image[mask, channel], bins=25, range=(0, 256))[0] / mask.sum()
                for mask in (first, second)
            ]
            total += np.minimum(*shares).sum() / image.shape[2]
    if "size" in measures:
        total += 1 - (first.sum() + second.sum()) / first.size
    if "fill" in measures:
        left, top, right, bottom = box_of(first | second)
        total += 1 - ((right - left) * (bottom - top) - first.sum() - second.sum()) / first.size
    return total


def group_masks(
    image: NDArray[np.uint8], segments: NDArray[np.int64], measures: tuple[str, ...]
) -> list[list[float]]:
    """Return the boxes of algorithm 1 on masks, comparing all pairs anew at each turn."""
    masks = [segments == index for index in range(segments.max() + 1)]
    boxes = [box_of(mask) for mask in masks]
    while len(masks) > 1:
        near = [pair for pair in combinations(range(len(masks)), 2) if touch(masks[pair[0]], masks[pair[1]])]
        first, second = max(
            near, key=lambda pair: similarity(image, masks[pair[0]], masks[pair[1]], measures)
        )
        joined = masks[first] | masks[second]
        masks = [mask for index, mask in enumerate(masks) if index not in (first, second)] + [joined]
        boxes.append(box_of(joined))
    return boxes


def draw_segments(seed: int, channels: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return noise and the cells nearest to some of its pixels."""
    random = np.random.default_rng(seed)
    seeds = random.permutation(12 * 17)[:9]
    places = np.stack(np.unravel_index(seeds, (12, 17)), axis=1) + random.random((9, 2)) / 9
    rows, columns = np.indices((12, 17))
    distances = np.hypot(rows[..., None] - places[:, 0], columns[..., None] - places[:, 1])
    return random.integers(0, 256, (12, 17, channels), np.uint8), distances.argmin(axis=-1)


@pytest.mark.parametrize("measures", MEASURES)
@pytest.mark.parametrize("seed", range(6))
def test_groups_are_those_that_all_pairs_of_masks_give(seed: int, measures: tuple[str, ...]) -> None:
    image, segments = draw_segments(seed, channels=1 + 2 * (seed % 2))
    assert group(image, segments, measures).tolist() == group_masks(image, segments, measures)


def test_neighbours_of_one_colour_are_joined_first() -> None:
    """Three bars of 4 columns, of which the first two are black: size and fill say the same of both pairs."""
    image = np.repeat([0, 0, 255], 4)[None, :, None].astype(np.uint8).repeat(5, axis=0)
    segments = np.repeat([0, 1, 2], 4)[None].repeat(5, axis=0)
    assert group(image, segments, MEASURES[0])[3:].tolist() == [[0, 0, 8, 5], [0, 0, 12, 5]]
    assert group(image[:, ::-1], segments, MEASURES[0])[3].tolist() == [4, 0, 12, 5]


def test_an_image_of_one_segment_is_one_region() -> None:
    image, segments = np.zeros((4, 6, 1), np.uint8), np.zeros((4, 6), np.int64)
    assert propose(image, [segments, segments], np.random.default_rng(0)).tolist() == [[0, 0, 6, 4]]


def test_regions_of_several_segmentations_are_proposed_once_and_large_ones_early() -> None:
    image, segments = draw_segments(0, channels=1)
    coarse = segments // 3
    found = [propose(image, [segments, coarse], np.random.default_rng(seed)) for seed in range(200)]
    assert (found[0] == propose(image, [segments, coarse], np.random.default_rng(0))).all()
    boxes = {
        tuple(box) for each in (segments, coarse) for m in MEASURES for box in group(image, each, m).tolist()
    }
    assert all(sorted(map(tuple, each.tolist())) == sorted(boxes) for each in found)
    whole = [each.tolist().index([0, 0, 17, 12]) for each in found]
    assert np.mean(whole) < 2, "it comes first in each of four hierarchies"
    areas = np.mean([(each[:, 2:] - each[:, :2]).prod(axis=1) for each in found], axis=0)
    assert areas[: len(areas) // 3].mean() > 1.5 * areas[-(len(areas) // 3) :].mean()
