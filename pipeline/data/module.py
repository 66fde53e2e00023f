"""LightningDataModule of prepared data, with loaders of the train and val splits."""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from pipeline.data.batches import Array, Batch, EpochBatches, PreparedSplit
from pipeline.data.sampling import check_per_class
from pipeline.data.threads import num_threads


class PreparedData(pl.LightningDataModule):
    """Train and val batches; the test split is not loaded.

    Args:
        train: the training split, augmented or not; its batches are random.
        val: the validation split; its batches come in order.
        batch_size: images per step and process.
        first_epoch: the epoch that training starts or resumes at. On resuming, Lightning starts the loader before it
            sets the sampler's epoch, and workers prefetch immediately.
        num_workers: loader processes; 0 loads in the training process; `auto` is 0 on a CPU, whose cores training
            uses itself, and on a GPU all but one of its share of the cores. Does not change any batch.
        seed: determines the order of training images.
        sampler: `shuffle` for each training image once per epoch, `balanced` for as many of each class, {per_class: K}
            for batches of K images of each of their classes, see `pipeline.data.sampling`.

    Raises:
        ConfigError: there are not enough images or classes for such batches.
    """

    def __init__(
        self,
        train: PreparedSplit,
        val: PreparedSplit,
        *,
        batch_size: int,
        num_workers: int | str,
        seed: int,
        sampler: str | Mapping[str, int],
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.train = train
        self.val = val
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.sampler = sampler
        self.first_epoch = first_epoch
        self._per_class = sampler["per_class"] if isinstance(sampler, Mapping) else None
        labels = self._labels()
        if self._per_class is not None and labels is not None:
            check_per_class(labels, num_classes=batch_size // self._per_class, per_class=self._per_class)

    def close(self) -> None:
        """Close the memory maps of both splits; the trainer refers to this object until garbage is collected."""
        self.train.close()
        self.val.close()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return random, augmented batches of the training split."""
        return self._loader(self.train, seed=self.seed, labels=self._labels(), epoch=self.first_epoch)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the validation split in order."""
        return self._loader(self.val, seed=None, epoch=self.first_epoch)

    def batches_of(self, epoch: int) -> DataLoader[Batch]:
        """Return the training batches of an epoch once more, to pass over beside `train_dataloader`."""
        labels = self._labels()
        return self._loader(self.train, seed=self.seed, labels=labels, epoch=epoch, persistent=False)

    def _labels(self) -> Array | None:
        """Return the class of each training image (N,) if batches are drawn by class."""
        if self.sampler == "shuffle":
            return None
        labels = self.train.kind.labels(self.train.targets)
        assert labels is not None, "see `Demands.is_labelled`"
        return labels.copy()  # the sampler outlives the memory map

    def _loader(
        self,
        split: PreparedSplit,
        *,
        seed: int | None,
        epoch: int,
        labels: Array | None = None,
        persistent: bool = True,
    ) -> DataLoader[Batch]:
        per_class = None if seed is None else self._per_class
        sampler = EpochBatches(
            len(split), batch_size=self.batch_size, seed=seed, labels=labels, per_class=per_class
        )
        sampler.set_epoch(epoch)
        workers = self._workers()
        return DataLoader(
            split,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=persistent and workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )

    def _workers(self) -> int:
        """Return the number of loader processes."""
        if isinstance(self.num_workers, int):
            return self.num_workers
        if self.trainer is None or self.trainer.strategy.root_device.type == "cpu":
            return 0
        return max(num_threads() // self.trainer.num_devices - 1, 0)
