"""A workload as one writes it without the pipeline: plain Lightning, torch's loader and albumentations' own steps.

Network, loss, optimizer, schedule and prepared images are the declared ones; precision and layout are the defaults.
Shapes: N images, C channels, H rows, W columns; arrays are (N, H, W, C), tensors (N, C, H, W).
"""

from __future__ import annotations

from multiprocessing import get_all_start_methods
from typing import Any

import albumentations
import numpy as np
import pytorch_lightning as pl
import torch
from albumentations.pytorch import ToTensorV2
from hydra.utils import instantiate
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import MLFlowLogger
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy

from benchmarks.workloads import Job
from pipeline.tasks.demands import load_demands
from pipeline.training.assemble import build_model, build_task, get_network, make_optimizer, make_scheduler
from pipeline.training.trainer import quieten

Sample = tuple[Tensor, Any]  # a normalised image and its label or mask; of a batch, tensors of both


def network_in(job: Job) -> nn.Module:
    """Return the declared network, without the preprocessing that ours has inside."""
    return get_network(build_model(job.declaration, job.statistics)).train()


def optimizer_for(job: Job, network: nn.Module) -> Optimizer:
    """Return the declared optimizer of a network's weights."""
    optimizer: Optimizer = make_optimizer(job.declaration)(network.parameters())
    return optimizer


def step(optimizer: Optimizer, loss: Tensor) -> None:
    """Change the weights by a loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


class PlainModule(pl.LightningModule):
    """Network, loss and optimizer as lightning-hydra-template has them."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.network = network_in(job)
        self.task = build_task(job.declaration)
        self.score = load_demands(job.declaration.task).score
        outputs = len(job.declaration.data.classes)
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.train_accuracy = MulticlassAccuracy(outputs, average="micro")
        self.val_accuracy = MulticlassAccuracy(outputs, average="micro")
        self._evidence: list[Tensor] = []

    def training_step(self, batch: Sample, _: int) -> Tensor:
        """Return the loss of a batch."""
        loss, _outputs = self._logged(batch, "train", self.train_loss, self.train_accuracy)
        return loss

    def validation_step(self, batch: Sample, _: int) -> None:
        """Keep what the score is made of."""
        _loss, outputs = self._logged(batch, "val", self.val_loss, self.val_accuracy)
        self._evidence.append(self.task.evidence(outputs, {"target": batch[1]}))

    def on_validation_epoch_end(self) -> None:
        """Log the task's score, by which contenders are compared."""
        self.log("val/score", self.task.scores(torch.cat(self._evidence).numpy())[self.score])
        self._evidence = []

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule."""
        optimizer = optimizer_for(self.job, self.network)
        return [optimizer], [make_scheduler(self.job.declaration)(optimizer)]

    def _logged(self, batch: Sample, split: str, mean: Metric, accuracy: Metric) -> tuple[Tensor, Tensor]:
        """Return loss and outputs of a batch, both logged by what sums them up over an epoch."""
        outputs = self.network(batch[0])
        loss = self.task.loss(outputs, {"target": batch[1]})
        mean(loss)
        accuracy(outputs.argmax(dim=1), batch[1])
        self.log(f"{split}/loss", mean, on_step=False, on_epoch=True)
        self.log(f"{split}/accuracy", accuracy, on_step=False, on_epoch=True)
        return loss, outputs


class PlainImages(Dataset[Sample]):
    """A prepared split as normalised floats, one image at a time.

    Args:
        split: train, which is augmented, or val, of which the network sees what it can take.
    """

    def __init__(self, job: Job, split: str) -> None:
        self.images = np.array(job.prepared.images(split))
        self.targets = np.array(job.prepared.targets(split))
        sides = job.declaration.input_shape[1:]
        is_larger = sides != tuple(job.declaration.data.shape[1:])
        shown = [albumentations.CenterCrop(*sides)] if is_larger else []
        self.draw = albumentations.Compose(
            [
                *(_plain_steps(job) if split == "train" else shown),
                albumentations.Normalize(mean=job.statistics.mean, std=job.statistics.deviation),
                ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        if self.targets.ndim == 1:
            return self.draw(image=self.images[index])["image"], int(self.targets[index])
        drawn = self.draw(image=self.images[index], mask=self.targets[index])
        return drawn["image"], drawn["mask"]


def loader_of(
    job: Job, images: PlainImages, *, shuffle: bool = False, num_workers: int = 0
) -> DataLoader[Sample]:
    """Return batches of a split."""
    return DataLoader(
        images,
        batch_size=job.declaration.trainer.batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        # The platform's way of starting processes, whatever way this one was started in.
        multiprocessing_context=get_all_start_methods()[0] if num_workers else None,
        persistent_workers=num_workers > 0,
        timeout=60 if num_workers else 0,  # seconds; a worker that hangs is told
    )


def fit_plainly(job: Job, callback: Callback, *, max_epochs: int) -> None:
    """Train by Lightning with its defaults, a checkpoint of the best epoch and MLflow."""
    quieten()
    logger = MLFlowLogger(
        "lightning",
        tracking_uri=f"sqlite:///{job.root / 'lightning.db'}",
        artifact_location=str(job.root / "lightning_artifacts"),
    )
    checkpoint = ModelCheckpoint(job.root / "lightning", monitor="val/score", mode="max", save_last=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=max_epochs,
        callbacks=[callback, checkpoint],
        logger=logger,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=job.root,
    )
    train = loader_of(job, PlainImages(job, "train"), shuffle=True)
    trainer.fit(PlainModule(job), train, loader_of(job, PlainImages(job, "val")))


def _plain_steps(job: Job) -> list[albumentations.BasicTransform]:
    """Return the declared augmentation in albumentations' own steps, with the same settings."""
    return [step for node in job.declaration.augmentation.steps for step in _plain(node, job)]


def _plain(node: dict[str, Any], job: Job) -> list[albumentations.BasicTransform]:
    if node["_target_"] == "pipeline.transforms.steps.pca_color.PcaColor":
        return [albumentations.FancyPCA(alpha=node["deviation"], p=1.0)]
    if node["_target_"] == "pipeline.transforms.steps.pad_crop.PadCrop":
        crop = albumentations.RandomCrop(node["rows"], node["columns"])
        padded = [side + 2 * int(side * node["padding"]) for side in job.declaration.data.shape[1:]]
        return [albumentations.PadIfNeeded(*padded), crop] if node["padding"] else [crop]
    name = node["_target_"].rpartition(".")[2]
    if not hasattr(albumentations, name):
        raise ValueError(
            f"augmentation: albumentations has no {name}; write what stands for it in benchmarks/plain.py"
        )
    return [instantiate({**node, "_target_": f"albumentations.{name}"}, _convert_="all")]
