"""Augmentation of images, either on the fly or precomputed.

A draw is one randomly augmented version of a sample. It depends only on (seed, epoch, sample, how often the sample came
before in the epoch), and is therefore independent of the number and order of loader workers, and of resuming.
Shapes: N images, H rows, W columns, C channels; images (N, H, W, C), targets (N, ...).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.data.arrays import start_array
from pipeline.errors import ConfigError

Array = NDArray[np.uint8]
LARGEST_SHARE = 0.9  # of the free disk space that copies may use


class Augment(Protocol):
    """Random augmentation of images and, where applicable, their targets; deterministic given the seed."""

    def batch(
        self, images: Array, targets: Array, *, moves_as: str | None, seeds: Sequence[int]
    ) -> tuple[Array, Array]:
        """Return the augmented images (N, H, W, C) and targets, given one seed per image.

        Args:
            moves_as: the albumentations target type; None if the targets are left unchanged.
        """
        ...


def derive_seed(*numbers: int) -> int:
    """Return a 32-bit seed that is a function of all the numbers."""
    words = np.array(numbers, np.uint32)  # equals the conversion in SeedSequence, but faster
    return int(np.random.SeedSequence(words).generate_state(1)[0])


@dataclass(frozen=True)
class OnTheFly:
    """Augmentation on the fly, with new draws in each epoch."""

    augment: Augment
    moves_as: str | None
    seed: int

    def batch(self, images: Array, targets: Array, epoch: int, draws: list[int]) -> tuple[Array, Array]:
        """Return images and targets as drawn for an epoch; for draws, see `pipeline.data.sampling`."""
        repeats, indices = _split(draws, len(images))
        seeds = [
            derive_seed(self.seed, epoch, index, *([repeat] if repeat else []))
            for repeat, index in zip(repeats, indices, strict=True)
        ]
        return self.augment.batch(images[indices], targets[indices], moves_as=self.moves_as, seeds=seeds)


@dataclass(frozen=True)
class Precomputed:
    """Precomputed draws of the first epochs, written by `write_draws`; later epochs cycle through them.

    Args:
        folder: contains `images.npy`, and `targets.npy` if targets are transformed with their images.
    """

    folder: Path

    def batch(
        self,
        images: Array,  # noqa: ARG002
        targets: Array,
        epoch: int,
        draws: list[int],
    ) -> tuple[Array, Array]:
        """Return images and targets as drawn for an epoch; an image that comes again is that of the next epoch."""
        repeats, indices = _split(draws, len(targets))
        drawn = self._drawn("images")
        copies = [(epoch + repeat) % len(drawn) for repeat in repeats]
        if not (self.folder / "targets.npy").exists():
            return drawn[copies, indices], targets[indices]
        return drawn[copies, indices], self._drawn("targets")[copies, indices]

    def _drawn(self, part: str) -> Array:
        """Return (copies, N, H, W, C) images or (copies, N, ...) targets, memory-mapped."""
        array: Array = np.load(self.folder / f"{part}.npy", mmap_mode="r")
        return array


def _split(draws: Sequence[int], num_samples: int) -> tuple[list[int], list[int]]:
    """Return how often the sample of each draw came before, and which it is; see `pipeline.data.sampling`."""
    return [draw // num_samples for draw in draws], [draw % num_samples for draw in draws]


def write_draws(draws: OnTheFly, images: Array, targets: Array, folder: Path, *, copies: int) -> None:
    """Write the draws of the first `copies` epochs of a split, with one image in memory at a time.

    Reports the required disk space on stderr beforehand.

    Raises:
        ConfigError: they would need more than nine tenths of the free disk space.
    """
    first, target = draws.batch(images, targets, 0, [0])
    shapes = {"images": first.shape[1:]} | ({"targets": target.shape[1:]} if draws.moves_as else {})
    needed = copies * len(images) * sum(int(np.prod(shape)) for shape in shapes.values())
    free = shutil.disk_usage(folder).free
    costs = f"{copies} drawn copies of {len(images):,} training images take {needed:,} bytes, the disk has {free:,}"
    if needed > LARGEST_SHARE * free:
        raise ConfigError(
            "augmentation.copies", costs, hint="make fewer copies, free some space, or set it to null"
        )
    sys.stderr.write(f"augment: {costs}\n")
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"{part}.npy").open("wb")) for part in shapes]
        for file, shape in zip(files, shapes.values(), strict=True):
            start_array(file, (copies, len(images), *shape))
        for copy in range(copies):
            for index in range(len(images)):
                drawn = draws.batch(images, targets, copy, [index])
                for file, pixels in zip(files, drawn, strict=False):
                    file.write(pixels.tobytes())
