"""Augmentation: a list of albumentations steps, seeded separately for each sample.

Shapes: images (H, W, C) uint8, masks (H, W) uint8; boxes (B, 5 or more): x_min, y_min, x_max, y_max in pixels, a class
index, which is -1 in rows of batches without a box, and whatever else; points (K, 2 or more): x, y in pixels, and
whatever else. The pixel in row r and column c covers x from c to c + 1 and y from r to r + 1.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.transforms.places import (
    LABEL,
    boxes_from_points,
    boxes_to_points,
    points_from_keypoints,
    points_to_keypoints,
)

Array = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

PLAIN, TRACED = "plain", "traced"  # keys of compositions; the second records the steps it applied

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # no version check over the network on import


def step_classes() -> tuple[type, ...]:
    """Return the base classes of steps: transforms, and compositions such as `OneOf`."""
    import albumentations  # slow to import, and not needed without steps

    return albumentations.BasicTransform, albumentations.BaseCompose


class Drawn(NamedTuple):
    """An augmented sample; a field is None if the sample has no such data."""

    image: Array
    mask: Array | None
    boxes: Floats | None
    points: Floats | None


class Augmentation:
    """Apply steps in order, transforming image, mask, boxes and points together.

    Boxes and points keep their number and order; those that leave the image have coordinates outside of it.

    Args:
        steps: albumentations transforms.
    """

    def __init__(self, steps: Sequence[Any]) -> None:
        self.steps = list(steps)
        self._randoms = _Randoms()
        self._composed: dict[str, Any] = {PLAIN: self._compose()}

    def __call__(
        self,
        image: Array,
        mask: Array | None = None,
        *,
        seed: int,
        boxes: Floats | None = None,
        points: Floats | None = None,
    ) -> Drawn:
        """Return one draw; the same seed gives the same draw in every process."""
        self._take_up(self._composed[PLAIN])
        if boxes is None and points is None:
            return Drawn(*_pixels(self._stepped(image, seed, mask=mask)), None, None)
        outlines = boxes_to_points(np.zeros((0, LABEL)) if boxes is None else boxes)
        both = outlines if points is None else np.concatenate([outlines, points[:, :2]])
        drawn = self._stepped(image, seed, mask=mask, keypoints=points_to_keypoints(both))
        moved = points_from_keypoints(drawn["keypoints"], len(both))
        return Drawn(
            *_pixels(drawn),
            None if boxes is None else boxes_from_points(moved[: len(outlines)], boxes),
            None if points is None else np.column_stack([moved[len(outlines) :], points[:, 2:]]),
        )

    def batch(
        self, images: Array, targets: Array, *, moves_as: str | None, seeds: Sequence[int]
    ) -> tuple[Array, Array]:
        """Return the results of `__call__` for images (N, H, W, C) and targets (N, ...), given one seed per image.

        Args:
            moves_as: `mask` for masks (N, H, W), `boxes` or `points`, which are transformed with their images; None to
                leave targets unchanged.
        """
        self._take_up(self._composed[PLAIN])
        if moves_as in ("boxes", "points"):
            move = self._move_boxes if moves_as == "boxes" else self._move_points
            moved = [move(*each) for each in zip(images, targets, seeds, strict=True)]
            return np.stack([image for image, _ in moved]), np.stack([target for _, target in moved])
        assert moves_as in (None, "mask"), moves_as
        masks = repeat(None, len(images)) if moves_as is None else targets
        samples = zip(images, masks, seeds, strict=True)
        drawn = [self._stepped(image, seed, mask=mask) for image, mask, seed in samples]
        stacked = np.stack([each["image"] for each in drawn])
        return (
            stacked if stacked.ndim == 4 else stacked[..., None],
            targets if moves_as is None else np.stack([each["mask"] for each in drawn]),
        )

    def _move_boxes(self, image: Array, boxes: Floats, seed: int) -> tuple[Array, Floats]:
        """Return one draw of an image and its boxes (B, 5 or more); rows without a box stay as they are."""
        is_box = boxes[:, LABEL] >= 0
        drawn = self(image, seed=seed, boxes=boxes[is_box])
        moved = boxes.copy()
        moved[is_box] = drawn.boxes
        return drawn.image, moved

    def _move_points(self, image: Array, points: Floats, seed: int) -> tuple[Array, Floats]:
        """Return one draw of an image and its points (K, 2 or more)."""
        drawn = self(image, seed=seed, points=points)
        assert drawn.points is not None
        return drawn.image, drawn.points.astype(points.dtype)

    def draw_with_trace(
        self, image: Array, mask: Array | None = None, *, seed: int
    ) -> tuple[Drawn, list[str]]:
        """Return the result of `__call__`, and the names of the steps that were applied."""
        if TRACED not in self._composed:
            self._composed[TRACED] = self._compose(save_applied_params=True)
        compose = self._composed[TRACED]
        self._take_up(compose)
        self._randoms.seed(seed)
        drawn = compose(image=image) if mask is None else compose(image=image, mask=mask)
        return Drawn(*_pixels(drawn), None, None), [name for name, _ in drawn["applied_transforms"]]

    def _stepped(self, image: Array, seed: int, **more: Any) -> dict[str, Any]:
        """Apply the steps to an image and more, without the checks of `Compose`, which take longer than the steps."""
        self._randoms.seed(seed)
        self._randoms.plain.random()  # Compose draws this number to decide whether to run
        sample = {"image": image, **{key: value for key, value in more.items() if value is not None}}
        for step in self.steps:
            sample = step(**sample)
        return sample

    def _compose(self, **options: Any) -> Any:
        """Compose the steps for images and masks."""
        import albumentations  # slow to import, and not needed without steps

        return albumentations.Compose(self.steps, **options)

    def _take_up(self, compose: Any) -> None:
        """Make the steps use our generators; repeated on each use, since other compositions may share the steps.

        `set_random_seed` would seed all steps identically, so that, for example, either all flip or none does.
        """
        compose.set_random_state(self._randoms.lazy, self._randoms.plain)


class _Randoms:
    """The random generators of the steps: Python's, and NumPy's, which is seeded only if a step uses it."""

    def __init__(self) -> None:
        self.plain = random.Random()
        self.lazy = _LazyGenerator()

    def seed(self, seed: int) -> None:
        """Reseed both."""
        self.plain.seed(seed)
        self.lazy.seed(seed)


class _LazyGenerator:
    """A `numpy.random.Generator` that is created on first use, since creation takes longer than many steps."""

    def __init__(self) -> None:
        self._seed = 0
        self._made: np.random.Generator | None = None

    def seed(self, seed: int) -> None:
        """Reseed."""
        self._seed, self._made = seed, None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle look these up before the state is restored
            raise AttributeError(name)
        if self._made is None:
            self._made = np.random.default_rng(self._seed)
        return getattr(self._made, name)


def _pixels(drawn: dict[str, Any]) -> tuple[Array, Array | None]:
    """Return image and mask of a drawn sample; the mask is None if there is none."""
    image, mask = drawn["image"], drawn.get("mask")
    return (
        np.ascontiguousarray(image if image.ndim == 3 else image[..., None]),
        None if mask is None else np.ascontiguousarray(mask),
    )
