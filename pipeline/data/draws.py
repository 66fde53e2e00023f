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
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.data.arrays import start_array
from pipeline.data.targets.kind import Moving
from pipeline.errors import ConfigError

Array = NDArray[Any]  # images of uint8
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
    """Augmentation on the fly, with new draws in each epoch.

    Args:
        moves_as: under what the targets are moved with their images; None if they are left unchanged.
        moving: what the kind of target does before and after; None for nothing.
    """

    augment: Augment
    moves_as: str | None
    seed: int
    moving: Moving | None = None

    def batch(self, images: Array, targets: Array, epoch: int, draws: list[int]) -> tuple[Array, Array]:
        """Return images and targets as drawn for an epoch; for draws, see `pipeline.data.sampling`."""
        repeats, indices = _split(draws, len(images))
        seeds = [
            derive_seed(self.seed, epoch, index, *([repeat] if repeat else []))
            for repeat, index in zip(repeats, indices, strict=True)
        ]
        chosen, own = images[indices], targets[indices]
        if self.moving is None:
            return self.augment.batch(chosen, own, moves_as=self.moves_as, seeds=seeds)
        started = self.moving.start(own, chosen.shape[1:3])
        drawn, moved = self.augment.batch(chosen, started, moves_as=self.moves_as, seeds=seeds)
        return drawn, self.moving.end(moved, drawn.shape[1:3])


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
    samples = {"images": first[0]} | ({"targets": target[0]} if draws.moves_as else {})
    needed = copies * len(images) * sum(sample.nbytes for sample in samples.values())
    free = shutil.disk_usage(folder).free
    costs = f"{copies} drawn copies of {len(images):,} training images take {needed:,} bytes, the disk has {free:,}"
    if needed > LARGEST_SHARE * free:
        raise ConfigError(
            "augmentation.copies", costs, hint="make fewer copies, free some space, or set it to null"
        )
    sys.stderr.write(f"augment: {costs}\n")
    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"{part}.npy").open("wb")) for part in samples]
        for file, sample in zip(files, samples.values(), strict=True):
            start_array(file, (copies, len(images), *sample.shape), sample.dtype)
        for copy in range(copies):
            for index in range(len(images)):
                drawn = draws.batch(images, targets, copy, [index])
                for file, pixels in zip(files, drawn, strict=False):
                    file.write(pixels.tobytes())
