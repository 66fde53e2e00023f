"""Augmentation: a list of albumentations steps, seeded separately for each sample.

Shapes: images (H, W, C) uint8, masks (H, W) uint8; boxes (B, 5): x_min, y_min, x_max, y_max in pixels and a label;
points (K, 2): x, y in pixels.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

Array = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

TRACED = ("traced",)  # key of the composition that records the steps it applied

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

    Boxes are clipped to the image, and those outside it are dropped. Points keep their number and order; those that
    leave the image keep coordinates outside it, or those that a warp gives them.

    Args:
        steps: albumentations transforms.
    """

    def __init__(self, steps: Sequence[Any]) -> None:
        self.steps = list(steps)
        self._randoms = _Randoms()
        self._composed: dict[tuple[str, ...], Any] = {(): self._compose()}

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
        if boxes is None and points is None:
            self._take_up(self._composed[()])
            return _drawn(self._stepped(image, mask, seed))
        more = {"bboxes": boxes, "keypoints": points}
        kinds = tuple(kind for kind, values in more.items() if values is not None)
        if kinds not in self._composed:
            self._composed[kinds] = self._compose(*kinds)
        drawn = _drawn(self._apply(self._composed[kinds], image, mask, seed, **more))
        if points is not None and drawn.points is not None and len(drawn.points) != len(points):
            raise ConfigError(
                "augmentation.steps",
                "a step drops keypoints that leave the image, so the remaining ones cannot be matched",
                hint="set its keypoint_remapping_method to direct, or use another step",
            )
        return drawn

    def batch(
        self, images: Array, targets: Array, *, moves_as: str | None, seeds: Sequence[int]
    ) -> tuple[Array, Array]:
        """Return the results of `__call__` for images (N, H, W, C) and targets (N, ...), given one seed per image.

        Args:
            moves_as: `mask` for masks (N, H, W), transformed with their images; None to leave targets unchanged.
        """
        assert moves_as in (None, "mask"), moves_as
        self._take_up(self._composed[()])
        masks = repeat(None, len(images)) if moves_as is None else targets
        samples = zip(images, masks, seeds, strict=True)
        drawn = [self._stepped(image, mask, seed) for image, mask, seed in samples]
        stacked = np.stack([each["image"] for each in drawn])
        return (
            stacked if stacked.ndim == 4 else stacked[..., None],
            targets if moves_as is None else np.stack([each["mask"] for each in drawn]),
        )

    def draw_with_trace(
        self, image: Array, mask: Array | None = None, *, seed: int
    ) -> tuple[Drawn, list[str]]:
        """Return the result of `__call__`, and the names of the steps that were applied."""
        if TRACED not in self._composed:
            self._composed[TRACED] = self._compose(save_applied_params=True)
        drawn = self._apply(self._composed[TRACED], image, mask, seed)
        return _drawn(drawn), [name for name, _ in drawn["applied_transforms"]]

    def _stepped(self, image: Array, mask: Array | None, seed: int) -> dict[str, Any]:
        """Apply the steps to image and mask without the checks of `Compose`, which take longer than the steps."""
        self._randoms.seed(seed)
        self._randoms.plain.random()  # Compose draws this number to decide whether to run
        sample: dict[str, Any] = {"image": image} if mask is None else {"image": image, "mask": mask}
        for step in self.steps:
            sample = step(**sample)
        return sample

    def _apply(
        self, compose: Any, image: Array, mask: Array | None, seed: int, **more: Floats | None
    ) -> dict[str, Any]:
        self._take_up(compose)
        self._randoms.seed(seed)
        sample = {"image": image, "mask": mask, **more}
        done: dict[str, Any] = compose(**{key: value for key, value in sample.items() if value is not None})
        return done

    def _compose(self, *kinds: str, **options: Any) -> Any:
        """Compose the steps for images, masks and the given kinds of annotation."""
        import albumentations  # slow to import, and not needed without steps

        params = {
            "bboxes": {"bbox_params": albumentations.BboxParams("pascal_voc", clip=True, min_area=1.0)},
            "keypoints": {"keypoint_params": albumentations.KeypointParams("xy", remove_invisible=False)},
        }
        with warnings.catch_warnings():  # albumentations warns if no step uses the boxes
            warnings.filterwarnings("ignore", message="Got processor for")
            return albumentations.Compose(
                self.steps, **{key: value for kind in kinds for key, value in params[kind].items()}, **options
            )

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


def _drawn(done: dict[str, Any]) -> Drawn:
    image, mask, boxes = done["image"], done.get("mask"), done.get("bboxes")
    return Drawn(
        np.ascontiguousarray(image if image.ndim == 3 else image[..., None]),
        None if mask is None else np.ascontiguousarray(mask),
        None if boxes is None else boxes.reshape(-1, 5),
        done.get("keypoints"),
    )
