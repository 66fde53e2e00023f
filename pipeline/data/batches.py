"""Batches of prepared data, determined only by (seed, epoch, sample).

They are therefore independent of the number and order of loader workers, and of resuming.
Shapes: N images, C channels, H rows, W columns; tensors are (N, C, H, W), uint8, channels last in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import NotRequired, Protocol, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pipeline.data.draws import derive_seed
from pipeline.data.sampling import balanced, batches_per_class, count_batches, shuffled
from pipeline.data.targets.kind import Making, TargetKind

Array = NDArray[np.uint8]
MADE = 2**31  # sets the seeds of targets apart from those of augmentation
Request = tuple[int, list[int]]  # epoch, draws of one batch, see `pipeline.data.sampling`


class Batch(TypedDict):
    """A batch: images (N, C, H, W) uint8; targets (N, ...) in the format of their kind; indices (N,).

    For mixed images, the target has the scalar `weight`, and the partner's target has 1 - `weight`.
    """

    image: Tensor
    target: Tensor
    index: Tensor
    partner: NotRequired[Tensor]
    weight: NotRequired[Tensor]


class Draws(Protocol):
    """The augmentation of a split."""

    def batch(self, images: Array, targets: Array, epoch: int, draws: list[int]) -> tuple[Array, Array]:
        """Return the augmented images (n, H, W, C) and targets of some draws from a split for an epoch."""
        ...


class Mix(Protocol):
    """The mixing of images within a batch."""

    def __call__(
        self, images: Array, targets: Array, *, are_masks: bool, seed: int
    ) -> tuple[Array, Array, Array, float]:
        """Return images, targets, the partners' targets, and the weight of the targets."""
        ...


class EpochBatches(Sampler[Request]):
    """Yield the batches of an epoch as requests; drawn from (seed, epoch) if a seed is given, else in order.

    Batch sizes are as equal as possible, which gives each process the same number of batches, as distributed training
    requires. No batch has a single image, on which batch norm fails: an odd number of images in batches of 2 ends with
    a batch of 3. Only `batch_size=1` and a share of one image leave no choice.

    In a distributed run, each process yields its share: with a seed, the last share is filled up from the start so
    that all have the same number of batches; otherwise each sample is used exactly once.

    Args:
        labels: the class of each sample, to draw all classes equally often; None to draw each sample once.
        per_class: how many images of each of its classes a batch has, all batches of equal size; None to leave that to
            chance.
    """

    def __init__(
        self,
        num_samples: int,
        *,
        batch_size: int,
        seed: int | None,
        labels: Array | None = None,
        per_class: int | None = None,
    ) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.labels = labels
        self.epoch = 0
        self._portions: dict[str, int] | None = None
        if per_class is not None:
            assert labels is not None
            self._portions = {"num_classes": batch_size // per_class, "per_class": per_class}
            self._num_batches = count_batches(labels, **self._portions)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self._portions is not None:
            return ceil(self._num_batches / _place()[1])
        share = ceil(self.num_samples / _place()[1])
        count = ceil(share / self.batch_size)
        has_single = self.batch_size > 1 and share < 2 * count
        return max(count - has_single, 1)

    def __iter__(self) -> Iterator[Request]:
        batches = (
            np.array_split(self._share(), len(self)) if self._portions is None else self._equal_batches()
        )
        for chosen in batches:
            yield self.epoch, chosen.tolist()

    def _equal_batches(self) -> list[NDArray[np.int64]]:
        """Return the batches of this process; some are repeated so that all processes have the same number."""
        assert self.labels is not None
        assert self._portions is not None
        rank, world = _place()
        made = batches_per_class(
            self.labels, np.random.default_rng([self.seed or 0, self.epoch]), **self._portions
        )
        return [made[place % len(made)] for place in range(rank, len(self) * world, world)]

    def _share(self) -> NDArray[np.int64]:
        rank, world = _place()
        if self.seed is None:
            return np.arange(self.num_samples)[rank::world]
        random = np.random.default_rng([self.seed, self.epoch])
        order = shuffled(self.num_samples, random) if self.labels is None else balanced(self.labels, random)
        even = np.resize(order, -(-len(order) // world) * world)
        return even[rank::world]


@dataclass(frozen=True)
class TargetMaker:
    """Makes what the network sees, and targets, of images.

    Args:
        making: of the kind of target.
        seed: determines what is drawn for an image in an epoch; None if it is always the same for an image.
    """

    making: Making
    seed: int | None

    def __call__(self, images: Array, epoch: int, draws: list[int]) -> tuple[Array, Array]:
        """Return what the network sees of images (N, H, W, C) as drawn for an epoch, and their targets."""
        if self.seed is None:
            return self.making.make(images, None)
        return self.making.make(images, [derive_seed(self.seed, epoch, each, MADE) for each in draws])


class PreparedSplit(Dataset[Batch]):
    """One split of prepared data; indexed by requests, it returns whole batches.

    Args:
        images: (N, H, W, C).
        targets: (N, ...).
        kind: the kind of target.
        draws: augmentation of the images; None for no augmentation.
        mix: mixing of the images of a batch; None for no mixing.
        sides: rows and columns of the centre crop of images that are not augmented; None for whole images.
        seed: determines how batches are mixed.
        maker: makes targets of augmented images; None if they are stored.
    """

    def __init__(
        self,
        images: Array,
        targets: Array,
        kind: TargetKind,
        *,
        draws: Draws | None = None,
        mix: Mix | None = None,
        sides: tuple[int, int] | None = None,
        seed: int = 0,
        maker: TargetMaker | None = None,
    ) -> None:
        # Convert to plain arrays, since indexing a memmap creates a memmap object, which is as slow as a draw.
        self.images = np.asarray(images)
        self.targets = np.asarray(targets)
        self.kind = kind
        self.draws = draws
        self.mix = mix
        self.sides = sides
        self.seed = seed
        self.maker = maker

    def close(self) -> None:
        """Let go of the arrays, which closes their memory maps, however long this object is referred to."""
        self.images = self.targets = np.empty(0, np.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, request: Request) -> Batch:
        epoch, draws = request
        indices = [draw % len(self) for draw in draws]
        if self.draws is not None:
            images, targets = self.draws.batch(self.images, self.targets, epoch, draws)
        else:
            images, targets = self._centre(self.images[indices]), self.targets[indices]
        if self.maker is not None:
            images, targets = self.maker(images, epoch, draws)
        batch: Batch = {"index": torch.tensor(indices)}  # type: ignore[typeddict-item]
        if self.mix is not None:
            images, targets, partners, weight = self.mix(
                images,
                targets,
                are_masks=self.kind.moves_as == "mask",
                seed=derive_seed(self.seed, epoch, *indices),
            )
            batch |= {"partner": torch.from_numpy(partners), "weight": torch.tensor(weight)}
        batch |= {
            "image": torch.from_numpy(images).permute(0, 3, 1, 2),
            "target": torch.from_numpy(targets),
        }
        return batch

    def _centre(self, images: Array) -> Array:
        if self.sides is None:
            return images
        top, left = ((a - b) // 2 for a, b in zip(images.shape[1:3], self.sides, strict=True))
        rows, columns = self.sides
        return np.ascontiguousarray(images[:, top : top + rows, left : left + columns])


def _place() -> tuple[int, int]:
    """Return (rank, world size) of this process; (0, 1) if training is not distributed."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
