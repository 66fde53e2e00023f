"""The learner: a LightningModule that trains a model on a task.

Each epoch is seeded from (seed, epoch), so resuming does not require a saved random state. Steps are computed in the
precision of the trainer, scores in single precision, as is the exported model.
Shapes: N images, C channels, H rows, W columns; tensors are (N, C, H, W).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pipeline.layers.containers import Auxiliary
from pipeline.tasks.task import Batch, Evidence, Measuring, Task, WeightedLoss
from pipeline.training.averaging import KEY, Averaging
from pipeline.training.divergence import HALVINGS, Diverged, Halving, LossCheck, find_origin, scale_rates
from pipeline.training.layer_names import Places
from pipeline.training.processes import Mean, gather
from pipeline.training.watching import StepWatch

Row = dict[str, float]


class Learner(pl.LightningModule):
    """Train a model on a task, and record one row of metrics per epoch.

    Args:
        model: preprocessing and network; maps uint8 images to outputs.
        task: defines the loss and the scores.
        make_optimizer: maps the model's parameters to an optimizer.
        make_scheduler: maps the optimizer to a learning-rate scheduler, which is stepped once per epoch; a
            `ReduceLROnPlateau` gets val/loss.
        seed: together with the epoch, determines dropout and other randomness in the forward pass.
        on_epoch: called with the history after each epoch, on rank 0 only; returns whether to stop training.
        frozen: modules kept in eval mode, so that their norm layers do not update running statistics.

    Attributes:
        average: of the weights, which is validated in their place; None for none.
        halvings: of the learning rate, after trainings that diverged.
        history: the rows of the epochs so far.
        is_stopped: whether `on_epoch` stopped training.
        places: names of the layers in messages, see `name_layers`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        task: Task,
        make_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        make_scheduler: Callable[[Optimizer], LRScheduler],
        seed: int,
        on_epoch: Callable[[list[Row]], bool],
        frozen: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.average: Averaging | None = None
        self.halvings: list[Halving] = []
        self.places: Places = {}
        self.history: list[Row] = []
        self.is_stopped = False
        self._make_optimizer = make_optimizer
        self._make_scheduler = make_scheduler
        self._seed = seed
        self._on_epoch = on_epoch
        self._frozen = list(frozen)
        self._side_heads = [module for module in model.modules() if isinstance(module, Auxiliary)]
        self._train = Mean()
        self._val = Mean()
        self._measures: dict[str, Mean] = {}
        self._evidence: list[Tensor] = []
        self._check = LossCheck()
        self._watch = StepWatch(model)
        self._batch: tuple[Batch, int] = {}, 0
        self._last_step: Tensor | None = None
        self._rate = 0.0
        self._scores: Row = {}
        self._schedule: LRScheduler | None = None
        self._schedule_state: dict[str, Any] | None = None
        self._started = 0.0

    def forward(self, image: Tensor) -> Tensor:
        """Return the outputs for images (N, C, H, W)."""
        outputs: Tensor = self.model(image)
        return outputs

    def train(self, mode: bool = True) -> Learner:
        """Set the mode of all modules except the frozen ones, which stay in eval mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer; the learner steps the scheduler itself (see `on_train_epoch_end`)."""
        optimizer = self._make_optimizer(self.parameters())
        self._schedule = self._make_scheduler(optimizer)
        return optimizer

    def on_train_start(self) -> None:
        """Restore the scheduler's state when resuming; start what needs the model on its device, or the optimizer."""
        if self.average is not None:
            self.average.start(self.model)
        if self.halvings:
            scale_rates(self.trainer.optimizers[0], self._rate_factor)
        if self._schedule_state is not None:
            assert self._schedule is not None
            self._schedule.load_state_dict(self._schedule_state)

    def on_train_epoch_start(self) -> None:
        """Seed the random number generators for this epoch, and start its timer."""
        seeds = np.random.SeedSequence([self._seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        self._train = Mean()
        self._measures = {}
        self._watch.start_epoch()
        self._rate = self._rate_factor * float(self.trainer.optimizers[0].param_groups[0]["lr"])
        self._started = time.perf_counter()

    def training_step(self, batch: Batch, step: int) -> Tensor:
        """Return the loss including the weighted auxiliary heads; only the main loss is recorded."""
        self._batch = batch, step
        if step == 0:
            self._watch.start_step()
        outputs = self(batch["image"])
        loss = self.task.loss(outputs, batch)
        self._train.add(loss.detach(), self._loss_weight(outputs, batch))
        if isinstance(self.task, Measuring):
            for name, (value, weight) in self.task.measures(outputs.detach(), batch).items():
                self._measures.setdefault(name, Mean()).add(value.detach(), weight)
        for head in self._side_heads:
            loss = loss + head.weight * self.task.loss(head.take(), batch)
        self._check.note(loss)
        return loss

    def on_before_optimizer_step(self, _: Optimizer) -> None:
        """Raise if the loss of this step is not finite, before the weights change."""
        (batch, step), loss = self._batch, self._check.value()
        if not isfinite(loss):
            with self.trainer.precision_plugin.forward_context():
                raise self._diverged("the loss", loss, self.model, [batch], split="train", step=step)
        self._last_step = batch.get("index")
        self._watch.note_loss(loss)
        if step == 0:
            self._watch.look_at_gradients()

    def on_train_batch_end(self, outputs: Any, batch: Batch, step: int) -> None:  # noqa: ARG002
        """Update the average; Lightning calls this before it validates."""
        if step == 0:
            self._watch.end_step()
        if self.average is not None:
            self.average.end_step(self.model)
            if self.trainer.is_last_batch:
                self.average.end_epoch(self.model, self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Reset the validation loss and evidence."""
        self._val = Mean()
        self._evidence = []

    def validation_step(self, batch: Batch, _: int) -> None:
        """Accumulate the loss and evidence of a batch, in single precision as those of test images."""
        with torch.autocast(self.device.type, enabled=False):
            outputs = self._scored_model()(batch["image"])
            # Outputs that are not finite have a loss of NaN, even where the task would not notice.
            loss = self.task.loss(outputs, batch).detach().where(outputs.isfinite().all(), float("nan"))
            self._val.add(loss, self._loss_weight(outputs, batch))
            self._evidence.append(self.task.evidence(outputs.float(), batch).cpu())

    def on_validation_epoch_end(self) -> None:
        """Gather the evidence from all processes and compute the scores."""
        evidence: Evidence = torch.cat(gather(torch.cat(self._evidence))).numpy()
        scores = {"loss": self._val.value(), **self.task.scores(evidence)}
        self._scores = {f"val/{name}": value for name, value in scores.items()}

    def on_train_epoch_end(self) -> None:
        """Append the epoch's row to the history and step the scheduler; raise if the loss of a split is not finite.

        Lightning would step the scheduler only after the checkpoint is written, so that a resumed run would miss
        that step.
        """
        loss = self._train.value()
        if not isfinite(loss):  # the sum of its weights, since the loss of each step was finite
            raise self._diverged("the loss", loss, self.model, [], split="train")
        if not isfinite(self._scores["val/loss"]):
            model = self._scored_model().eval()
            loader: Iterable[Batch] = self.trainer.val_dataloaders or ()
            batches = map(self.trainer.strategy.batch_to_device, loader)
            name, value = "the loss of validation images", self._scores["val/loss"]
            raise self._diverged(name, value, model, batches, split="val")
        row = {
            "epoch": float(self.current_epoch),
            "lr": self._rate,
            "seconds": time.perf_counter() - self._started,
            "train/loss": loss,
            **self._scores,
            **{f"train/{name}": mean.value() for name, mean in self._measures.items()},
        }
        self.log_dict({key: value for key, value in row.items() if "/" in key})
        self.history.append(row | self._watch.figures())
        self._step_schedule()
        stops = self.global_rank == 0 and self._on_epoch(self.history)
        self.is_stopped = self.trainer.strategy.reduce_boolean_decision(stops, all=False)
        self.trainer.should_stop = self.trainer.should_stop or self.is_stopped

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the history, halvings, the scheduler's state and the average in the checkpoint."""
        assert self._schedule is not None
        if self.average is not None:
            checkpoint[KEY] = self.average.state_dict()
        checkpoint["history"] = self.history
        if self.halvings:
            checkpoint[HALVINGS] = self.halvings
        checkpoint["schedule"] = self._schedule.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the history; `on_train_start` loads the state of scheduler and average, once these exist."""
        if self.average is not None:
            self.average.load_state_dict(checkpoint[KEY])
        self.history = list(checkpoint["history"])
        self._schedule_state = checkpoint["schedule"]

    def _scored_model(self) -> nn.Module:
        """Return the model that is validated; not an attribute, which Lightning would save with its weights."""
        return self.model if self.average is None else self.average.scored(self.model)

    def _loss_weight(self, outputs: Tensor, batch: Batch) -> Tensor | int:
        """Return what the loss of a batch counts for in the mean over an epoch."""
        weight = self.task.loss_weight(outputs, batch) if isinstance(self.task, WeightedLoss) else None
        return len(batch["image"]) if weight is None else weight

    def _step_schedule(self) -> None:
        assert self._schedule is not None
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(self._scores["val/loss"])
        else:
            self._schedule.step()

    @property
    def _rate_factor(self) -> float:
        return float(0.5 ** len(self.halvings))

    def _diverged(
        self,
        loss: str,
        value: float,
        model: nn.Module,
        batches: Iterable[Batch],
        *,
        split: str,
        step: int | None = None,
    ) -> Diverged:
        """Return the error for a loss that is not finite, the same one in all processes."""
        own = find_origin(model, batches, split=split, places=self.places, last_step=self._last_step)
        origins = gather(own)
        return Diverged(
            loss,
            value,
            epoch=self.current_epoch,
            step=step,
            rate=self._rate,
            origin=next((origin for origin in origins if origin.layer), own),
            halvings=self.halvings,
        )
