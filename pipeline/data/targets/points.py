"""Points: K named points per image, stored as (N, K, 3), in pixels of the prepared image.

The columns are x, y, and 1 if the point is labelled and inside of the image, else 0; then x and y are 0, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing, read_sides
from pipeline.data.places import Point
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import Array, Sides, TargetKind
from pipeline.errors import ConfigError
from pipeline.pictures.colours import colour_of
from pipeline.pictures.places import Marks

COLUMNS = 3
SLACK = 1.0  # pixels by which a point may leave its image, as rounded coordinates do
PROBES = np.array(
    [[0.5, 0.5], [0.75, 0.5], [0.5, 0.75]]
)  # shares of the sides: middle, right and below of it


class Points(TargetKind):
    """The points of an image; a sample's target is a tuple of `Point`, one for each name in `data.points`."""

    name = "points"
    moves_as = "points"
    keeps_sides = True

    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return (K, 3)."""
        return len(facts.points or ()), COLUMNS

    def dtype(self, facts: Facts) -> np.dtype[Any]:
        """Return float32."""
        del facts
        return np.dtype(np.float32)

    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return the points (K, 3) in pixels of the prepared image; those that are cut off are not visible.

        Raises:
            ConfigError: a point lies outside of its image.
        """
        del archive
        points, sides = _points(sample), read_sides(image)
        _check_inside(points, sides, sample.file)
        rows = np.array([(point.x, point.y, point.is_labelled) for point in points], np.float64)
        rows[:, :2] = find_resizing(facts).place(sides).to_prepared(rows[:, :2])
        return settle(rows, facts.shape[1:])

    def moving(self, facts: Facts) -> PointMoving:
        """Return what swaps points of mirrored images, and hides those that leave the image."""
        return PointMoving(tuple(facts.points or ()), facts.swapped_points)

    def cell(self, sample: Sample) -> str:
        """Return the points in pixels of the file, divided by semicolons."""
        points = _points(sample)
        return "; ".join(f"{point.x:g} {point.y:g}" if point.is_labelled else "none" for point in points)

    def count(self, targets: Array, num_classes: int) -> list[int]:
        """Return the number of images that have a point, for the one class that there may be."""
        return [int((targets[..., 2] > 0).any(axis=1).sum())] * num_classes

    def present(self, target: Any) -> NDArray[np.intp]:
        """Return the one class that there may be, if the image has a point."""
        return np.flatnonzero([(target[:, 2] > 0).any()])

    def check(self, samples: Sequence[Sample], facts: Facts) -> None:
        """Check that every point is labelled in a training image.

        Raises:
            ConfigError: one is in none; the message names it.
        """
        training = [_points(sample) for sample in samples if sample.split == "train"]
        for index, name in enumerate(facts.points or ()):
            if not any(points[index].is_labelled for points in training):
                raise ConfigError(
                    "data.points",
                    f"no training image of {facts.root} has the point '{name}'",
                    hint="label it in some, or remove it",
                )

    def marks(self, target: Any, facts: Facts) -> Marks:
        """Return the visible points with their names."""
        seen = np.flatnonzero(target[:, 2] > 0).tolist()
        names = facts.points or [str(index) for index in range(len(target))]
        return Marks(
            points=target[seen, :2],
            colours=[colour_of(index) for index in seen],
            names=[names[index] for index in seen],
        )


@dataclass(frozen=True)
class PointMoving:
    """Swap points where an image was mirrored, and hide those that left it.

    Three more points are moved along, which tell whether it was mirrored.

    Args:
        names: of the points.
        swapped: pairs that a mirror swaps; None if images must not be mirrored.
    """

    names: tuple[str, ...]
    swapped: dict[str, str] | None

    def start(self, targets: Array, sides: Sides) -> Array:
        """Return the points, and three more."""
        probes = np.ones((len(targets), len(PROBES), COLUMNS), targets.dtype)
        probes[..., :2] = PROBES * sides[::-1]
        return np.concatenate([targets, probes], axis=1)

    def end(self, moved: Array, sides: Sides) -> Array:
        """Return the points inside of the images.

        Raises:
            ConfigError: an image was mirrored, and it is not known what that swaps.
        """
        points, probes = moved[:, : -len(PROBES)], moved[:, -len(PROBES) :, :2]
        (right_x, right_y), (down_x, down_y) = (
            (probes[:, place] - probes[:, 0]).T for place in range(1, len(PROBES))
        )
        is_mirrored = right_x * down_y < right_y * down_x
        if is_mirrored.any() and self.swapped is None:
            raise ConfigError(
                "data.swapped_points",
                "a step of augmentation mirrored an image, and it is not known which points that swaps",
                got=None,
                hint="name the pairs, {} if there are none, or choose another augmentation",
            )
        swapped = np.where(is_mirrored[:, None, None], points[:, self._partners()], points)
        return settle(swapped, sides)

    def _partners(self) -> list[int]:
        """Return for each point the index of the one that takes its place in a mirror image."""
        pairs = self.swapped or {}
        other = {**pairs, **{right: left for left, right in pairs.items()}}
        return [self.names.index(other.get(name, name)) for name in self.names]


def settle(points: Array, sides: Sequence[int]) -> Array:
    """Return points (..., 3) of which those outside of an image of some rows and columns are not visible."""
    x, y = points[..., 0], points[..., 1]
    is_inside = (x >= 0) & (x < sides[1]) & (y >= 0) & (y < sides[0]) & (points[..., 2] > 0)
    return np.where(is_inside[..., None], points, 0).astype(np.float32)


def _check_inside(points: Sequence[Point], sides: Sides, file: str) -> None:
    """Raise if points leave their image by more than rounding."""
    rows, columns = sides
    outside = [
        point
        for point in points
        if point.is_labelled
        and not (-SLACK <= point.x <= columns + SLACK and -SLACK <= point.y <= rows + SLACK)
    ]
    if outside:
        first = outside[0]
        raise ConfigError(
            file,
            f"has {columns} x {rows} pixels, and points outside of them: {len(outside):,}, such as "
            f"{first.x:g} {first.y:g}{first.where and f' ({first.where})'}",
            hint="give x and y in pixels of the image as it is seen, turned as EXIF says; leave the cells of points "
            "empty that it does not show",
        )


def _points(sample: Sample) -> tuple[Point, ...]:
    return cast(tuple[Point, ...], sample.target)


KIND = Points()
