"""Boxes: any number of objects per image, stored as one row each (N, B, 6), in pixels of the prepared image.

The columns are x_min, y_min, x_max, y_max, the class index, and 1 for what is ignored, such as a crowd, else 0. B is
the most objects of an image of the data set. Rows without an object come last and have class -1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing, read_sides
from pipeline.data.places import Box
from pipeline.data.remarks import Remarks
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import Array, Sides, TargetKind
from pipeline.errors import ConfigError
from pipeline.pictures.colours import colour_of
from pipeline.pictures.places import Marks

COLUMNS, LABEL, IGNORED = 6, 4, 5
EMPTY = np.array([0, 0, 0, 0, -1, 0], np.float32)
SLACK = 1.0  # pixels by which a box may leave its image, as rounded coordinates do
LEAST_AREA = 1.0  # pixels of the prepared image
DROPPED = (
    "data.resize: images whose boxes it cuts or shrinks to less than data.min_visible or one pixel",
    "these boxes are dropped",
)


@dataclass(frozen=True)
class Boxes(TargetKind):
    """The objects of an image; a sample's target is a tuple of `Box`.

    Args:
        most: rows of a target, at least as many as an image has boxes.
    """

    most: int = 1
    name = "boxes"
    moves_as = "boxes"
    keeps_sides = True

    def fitted(self, samples: Sequence[Sample]) -> Boxes:
        """Return the kind with room for the most boxes of a sample, at least one."""
        return Boxes(max((len(_boxes(sample)) for sample in samples), default=1) or 1)

    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return (B, 6)."""
        del facts
        return self.most, COLUMNS

    def dtype(self, facts: Facts) -> np.dtype[Any]:
        """Return float32."""
        del facts
        return np.dtype(np.float32)

    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return the boxes (B, 6) in pixels of the prepared image; what it cuts too much of is dropped.

        Raises:
            ConfigError: a box lies outside of its image.
        """
        del archive
        return self._read(sample, facts, image, Remarks())

    def reader(self, archive: Archive, facts: Facts, remarks: Remarks) -> Callable[[Sample, bytes], Array]:
        """Return a function that reads boxes, and notes images of which some are dropped."""
        del archive
        return lambda sample, image: self._read(sample, facts, image, remarks)

    def _read(self, sample: Sample, facts: Facts, image: bytes, remarks: Remarks) -> Array:
        sides = read_sides(image)
        boxes = [_in_pixels(box, sides) for box in _boxes(sample)]
        _check_inside(boxes, sides, sample.file)
        target = np.tile(EMPTY, (max(self.most, len(boxes)), 1))
        if boxes:
            rows = np.array([box[:COLUMNS] for box in boxes], np.float64)
            rows[:, :4] = np.clip(rows[:, :4], 0, np.array(sides[::-1] * 2))
            corners = find_resizing(facts).place(sides).to_prepared(rows[:, :4].reshape(-1, 2, 2))
            rows[:, :4] = corners.reshape(-1, 4)
            target[: len(boxes)] = rows
        settled: Array = settle(target[None], facts.shape[1:], facts.min_visible)[0]
        if (settled[:, LABEL] >= 0).sum() < len(boxes):
            remarks.note(DROPPED, sample.file)
        return settled

    def moving(self, facts: Facts) -> BoxMoving:
        """Return what clips and drops boxes after augmentation."""
        return BoxMoving(facts.min_visible)

    def cell(self, sample: Sample) -> str:
        """Return the boxes in pixels of the file and their class indices, divided by semicolons."""
        return "; ".join(
            f"{' '.join(f'{side:g}' for side in box[:4])} {box.label}{' ignored' * box.is_ignored}"
            for box in _boxes(sample)
        )

    def named(self, sample: Sample) -> tuple[int, ...]:
        """Return the classes of the objects."""
        return tuple(sorted({box.label for box in _boxes(sample)}))

    def count(self, targets: Array, num_classes: int) -> list[int]:
        """Return how many objects of each class there are, without those that are ignored."""
        labels = targets[..., LABEL][(targets[..., LABEL] >= 0) & (targets[..., IGNORED] == 0)]
        return [int(count) for count in np.bincount(labels.astype(int), minlength=num_classes)]

    def present(self, target: Any) -> NDArray[np.intp]:
        """Return the classes of the objects of an image that are not ignored."""
        labels = target[(target[:, LABEL] >= 0) & (target[:, IGNORED] == 0), LABEL]
        return np.unique(labels).astype(np.intp)

    def check(self, samples: Sequence[Sample], facts: Facts) -> None:
        """Check that every class has an object in a training image.

        Raises:
            ConfigError: a class has none; the message names it.
        """
        present = {
            box.label
            for sample in samples
            if sample.split == "train"
            for box in _boxes(sample)
            if not box.is_ignored
        }
        for index, name in enumerate(facts.classes):
            if index not in present:
                raise ConfigError(
                    "data.classes",
                    f"no training image of {facts.root} has a box of class '{name}'",
                    hint="add some or remove the class",
                )

    def marks(self, target: Any, facts: Facts) -> Marks:
        """Return the boxes with their classes; those that are ignored are dashed."""
        shown = target[target[:, LABEL] >= 0]
        labels, is_ignored = shown[:, LABEL].astype(int), shown[:, IGNORED] > 0
        return Marks(
            boxes=shown[:, :4],
            colours=[colour_of(label) for label in labels],
            names=[facts.classes[label] for label in labels],
            is_dashed=is_ignored.tolist(),
        )


@dataclass(frozen=True)
class BoxMoving:
    """Clip boxes once after all steps, and drop those of which too little is left."""

    min_visible: float

    def start(self, targets: Array, sides: Sides) -> Array:
        """Return the targets as they are."""
        del sides
        return targets

    def end(self, moved: Array, sides: Sides) -> Array:
        """Return the boxes inside of the images."""
        return settle(moved, sides, self.min_visible)


def settle(targets: Array, sides: Sequence[int], min_visible: float) -> Array:
    """Clip boxes (N, B, 6) to images of some rows and columns, and drop those of which too little is left.

    Those that stay keep their order; rows without an object come last.

    Args:
        min_visible: share of the area of a box that must be left, beside one pixel.
    """
    corners = np.clip(targets[..., :4], 0, np.array([sides[1], sides[0]] * 2, np.float32))
    before, after = _areas(targets[..., :4]), _areas(corners)
    stays = (targets[..., LABEL] >= 0) & (after >= LEAST_AREA) & (after >= min_visible * before)
    clipped = np.concatenate([corners, targets[..., 4:]], axis=-1)
    settled = np.where(stays[..., None], clipped, EMPTY)
    order = np.argsort(~stays, axis=1, kind="stable")
    ordered: Array = np.take_along_axis(settled, order[..., None], axis=1).astype(np.float32)
    return ordered


def _areas(corners: Array) -> Array:
    areas: Array = np.prod(np.maximum(corners[..., 2:] - corners[..., :2], 0), axis=-1)
    return areas


def _check_inside(boxes: Sequence[Box], sides: Sides, file: str) -> None:
    """Raise if boxes leave their image by more than rounding."""
    rows, columns = sides
    outside = [
        box
        for box in boxes
        if min(box.x_min, box.y_min) < -SLACK or box.x_max > columns + SLACK or box.y_max > rows + SLACK
    ]
    if outside:
        first = outside[0]
        raise ConfigError(
            file,
            f"has {columns} x {rows} pixels, and boxes outside of them: {len(outside):,}, such as "
            f"{' '.join(f'{side:g}' for side in first[:4])}{first.where and f' ({first.where})'}",
            hint="give x_min, y_min, x_max and y_max in pixels of the image as it is seen, turned as EXIF says",
        )


def _in_pixels(box: Box, sides: Sides) -> Box:
    if not box.is_share:
        return box
    (rows, columns), (x_min, y_min, x_max, y_max) = sides, box[:4]
    corners = (x_min * columns, y_min * rows, x_max * columns, y_max * rows)
    return Box(*corners, box.label, box.is_ignored, box.where)


def _boxes(sample: Sample) -> tuple[Box, ...]:
    return cast(tuple[Box, ...], sample.target)


KIND = Boxes()
