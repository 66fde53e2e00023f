"""Prepared data for Lightning: loaders of the train and val splits."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from pipeline.data.batches import Augment, Batch, EpochBatches, PreparedSplit
from pipeline.data.prepared import Prepared


class PreparedData(pl.LightningDataModule):
    """Train and val batches of a prepared folder; the test split stays closed.

    Args:
        augment: (image, mask or None, seed) -> the same, for training images; None leaves them alone.
        batch_size: images per step and process.
        first_epoch: the epoch that training starts or resumes at. Resuming, Lightning starts the loader
            before it tells the sampler the epoch, and loader workers fetch ahead at once.
        num_workers: loader processes; 0 loads in the training process. Does not change any batch.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        augment: Augment | None,
        batch_size: int,
        num_workers: int,
        seed: int,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.prepared = prepared
        self.augment = augment
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.first_epoch = first_epoch

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled, augmented batches of the training split."""
        return self._loader("train", augment=self.augment, seed=self.seed)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the batches of the validation split in order."""
        return self._loader("val", augment=None, seed=None)

    def split(self, name: str, *, augment: Augment | None = None) -> PreparedSplit:
        """Return one split to be indexed by requests."""
        images, targets = self.prepared.images(name), self.prepared.targets(name)
        return PreparedSplit(images, targets, augment=augment, seed=self.seed)

    def _loader(self, name: str, *, augment: Augment | None, seed: int | None) -> DataLoader[Batch]:
        split = self.split(name, augment=augment)
        sampler = EpochBatches(len(split), batch_size=self.batch_size, seed=seed)
        sampler.set_epoch(self.first_epoch)
        return DataLoader(
            split,
            batch_size=None,
            sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )
