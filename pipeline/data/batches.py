"""Batches of prepared data: what is drawn depends on (seed, epoch, sample) and nothing else.

So the number of loader workers, a resume or the order of workers never changes a pixel.
Shapes: N images, C channels, H rows, W columns; tensors are (N, C, H, W), uint8, channels last in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

Array = NDArray[np.uint8]
Augment = Callable[[Array, Array | None, int], tuple[Array, Array | None]]
Request = tuple[int, list[int]]  # epoch, indices of the samples of one batch


class Batch(TypedDict):
    """One batch: images (N, C, H, W) uint8; targets (N,) or (N, H, W) uint8; indices (N,)."""

    image: Tensor
    target: Tensor
    index: Tensor


def seed_of(*numbers: int) -> int:
    """Return a 32-bit seed that depends on all the numbers and on nothing else."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class EpochBatches(Sampler[Request]):
    """Yield the batches of an epoch as requests; shuffled from (seed, epoch) where a seed is given.

    Batches are as equal as can be: no last batch of one image, with which batch norm cannot train, and as
    many batches in each process, which distributed training waits for.

    In a distributed run each process yields its share: when shuffling, the tail is filled from the start
    so that all have equally many batches; otherwise each sample is seen once.
    """

    def __init__(self, num_samples: int, *, batch_size: int, seed: int | None) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch to draw; Lightning calls this at each start of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return ceil(ceil(self.num_samples / _place()[1]) / self.batch_size)

    def __iter__(self) -> Iterator[Request]:
        for chosen in np.array_split(self._share(), len(self)):
            yield self.epoch, chosen.tolist()

    def _share(self) -> NDArray[np.int64]:
        order = np.arange(self.num_samples)
        rank, world = _place()
        if self.seed is None:
            return order[rank::world]
        np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        even = np.resize(order, -(-len(order) // world) * world)
        return even[rank::world]


class PreparedSplit(Dataset[Batch]):
    """One split of prepared data; indexed by requests, it returns whole batches."""

    def __init__(self, images: Array, targets: Array, *, augment: Augment | None, seed: int) -> None:
        self.images = images
        self.targets = targets
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, request: Request) -> Batch:
        epoch, indices = request
        images, targets = self.images[indices], self.targets[indices]
        if self.augment is not None:
            images, targets = self._augmented(images, targets, epoch, indices)
        return {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "target": torch.from_numpy(targets),
            "index": torch.tensor(indices),
        }

    def _augmented(
        self, images: Array, targets: Array, epoch: int, indices: list[int]
    ) -> tuple[Array, Array]:
        assert self.augment is not None
        has_masks = targets.ndim > 1
        drawn = [
            self.augment(image, target if has_masks else None, seed_of(self.seed, epoch, index))
            for image, target, index in zip(images, targets, indices, strict=True)
        ]
        masks = [mask for _, mask in drawn if mask is not None]
        return np.stack([image for image, _ in drawn]), np.stack(masks) if has_masks else targets


def _place() -> tuple[int, int]:
    """Return (rank, world size) of this process; (0, 1) where training is not distributed."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
