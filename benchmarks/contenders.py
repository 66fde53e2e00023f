"""Who trains a workload: ours, plain Lightning, a loop by hand, and the bound that no loader or logger slows down.

    python -m benchmarks.contenders W1 seed=1

trains plain Lightning in the present folder, and tells each epoch's score as it comes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.figures import seconds
from benchmarks.plain import PlainImages, Sample, fit_plainly, loader_of, network_in, optimizer_for, step
from benchmarks.turns import Contender
from benchmarks.workloads import Job, job_of
from pipeline.data.batches import EpochBatches, PreparedSplit, Request
from pipeline.declaration.hardware import probe, resolve
from pipeline.training.assemble import build_model, build_task, make_scheduler, make_train_split
from pipeline.training.construction import build_augmentation

LEAST = 1.0  # seconds of the bound's epoch
STEPS = 8  # at most, by which the loop chooses its loader
MANY = 1000  # epochs, of which nobody sees the last


class Marks(Callback):
    """Tell a contender where Lightning is in an epoch.

    Args:
        images: in the training split.
        stops: whether to stop Lightning after the contender's last epoch.
    """

    def __init__(self, contender: Contender, *, images: int, stops: bool) -> None:
        self.contender = contender
        self.images = images
        self.stops = stops

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Hand over, then start the clock."""
        self.contender.begins_epoch()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Stop the clock of the training part."""
        if not trainer.sanity_checking:
            self.contender.ends_training(self.images)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Stop after the last epoch."""
        trainer.should_stop = trainer.should_stop or (self.stops and self.contender.is_last)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Stop the clock of the last epoch."""
        self.contender.ends_epoch()


def bound(job: Job, contender: Contender) -> None:
    """Step on one batch in memory, in the best precision and layout, and do nothing else."""
    declaration, statistics = job.declaration, job.statistics
    settings = declaration.trainer
    augmentation = build_augmentation(declaration, statistics)
    split = make_train_split(declaration, job.prepared, augmentation, None)
    requests = EpochBatches(len(split), batch_size=settings.batch_size, seed=0)
    batch = split[next(iter(requests))]
    model: nn.Module = build_model(declaration, statistics).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task, optimizer = build_task(declaration), optimizer_for(job, model)
    is_half = resolve(settings, probe()).precision == "bf16-mixed"
    while True:
        contender.begins_epoch()
        start, steps = time.perf_counter(), 0
        while steps < len(requests) or time.perf_counter() - start < LEAST:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half):
                loss = task.loss(model(batch["image"]), {"target": batch["target"]})
            step(optimizer, loss)
            steps += 1
        contender.ends_training(steps * len(batch["image"]))
        if contender.is_last:
            return


def ours(job: Job, contender: Contender) -> None:
    """Train by the pipeline, with tracking, metrics, checkpoints and validation."""
    from pipeline.runs.context import RunContext
    from pipeline.runs.observer import TrainingObserver
    from pipeline.training.learner import Learner
    from pipeline.training.run import RunRequest, train

    draws: Callable[[PreparedSplit, Request], Any] = PreparedSplit.__getitem__
    marks = Marks(contender, images=len(job.prepared.images("train")), stops=False)

    class Timed(Learner):
        def configure_callbacks(self) -> list[Callback]:
            return [marks]

    def timed_draws(split: PreparedSplit, request: Request) -> Any:
        start = time.perf_counter()
        batch = draws(split, request)
        if split.draws is not None:  # validation has none
            contender.augments(time.perf_counter() - start)
        return batch

    observer = TrainingObserver(should_stop=lambda _: contender.is_last)
    request = RunRequest("bench", job.declaration.name, waits=True, observer=observer)
    with (
        patch("pipeline.training.fit.Learner", Timed),
        patch.object(PreparedSplit, "__getitem__", timed_draws),
    ):
        train(job.declaration, request, RunContext(job.root))


def unwatched(job: Job, contender: Contender) -> None:
    """Train by the pipeline, without looking at losses, gradients, updates and activations."""
    from pipeline.training.divergence import LossCheck
    from pipeline.training.remarks import Remarks
    from pipeline.training.watching import StepWatch

    def nothing(*_: Any) -> None:
        pass

    steps: dict[str, Any] = dict.fromkeys(
        ("start_epoch", "start_step", "look_at_gradients", "end_step", "note_loss"), nothing
    )
    with (
        patch.multiple(StepWatch, figures=lambda _: {}, **steps),
        patch.multiple(LossCheck, note=nothing, value=lambda _: 0.0),
        patch.object(Remarks, "update", lambda *_: []),
    ):
        root = job.root / "unwatched"  # since each run is trained once in a project
        root.mkdir()
        ours(replace(job, root=root), contender)


def lightning(job: Job, contender: Contender) -> None:
    """Train as lightning-hydra-template does."""
    marks = Marks(contender, images=len(job.prepared.images("train")), stops=True)
    fit_plainly(job, marks, max_epochs=MANY)


def loop(job: Job, contender: Contender) -> None:
    """Train by hand, with the faster of no and two loader processes."""
    network, task, train = network_in(job), build_task(job.declaration), PlainImages(job, "train")
    optimizer = optimizer_for(job, network)
    scheduler = make_scheduler(job.declaration)(optimizer)

    def train_on(batches: Iterable[Sample]) -> None:
        for images, targets in batches:
            step(optimizer, task.loss(network(images), {"target": targets}))

    def warm_steps(loader: DataLoader[Sample]) -> float:
        train_on(islice(loader, 1))
        return seconds(lambda: train_on(islice(loader, STEPS)))

    contender.begins_epoch()  # the first turn, which does not count
    loaders = [loader_of(job, train, shuffle=True, num_workers=number) for number in (0, 2)]
    loader = min(loaders, key=warm_steps)
    val_loader = loader_of(job, PlainImages(job, "val"))
    while True:
        contender.begins_epoch()
        train_on(loader)
        contender.ends_training(len(train))
        network.eval()
        with torch.inference_mode():
            evidence = [task.evidence(network(images), {"target": targets}) for images, targets in val_loader]
        task.scores(torch.cat(evidence).numpy())
        network.train()
        scheduler.step()
        if contender.is_last:
            return


CONTENDERS: dict[str, Callable[[Job, Contender], None]] = {
    "bound": bound,
    "ours": ours,
    "lightning": lightning,
    "loop": loop,
}


class _Tells(Callback):
    """Tell each epoch's score as it comes, as ours does."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        if not trainer.sanity_checking:
            score = float(trainer.callback_metrics["val/score"])
            sys.stderr.write(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  val/score {score:.4f}\n"
            )


def main() -> None:
    """Train plain Lightning on a workload, for as many epochs as it declares."""
    key, *more = sys.argv[1:]
    job = job_of(key, Path.cwd(), more)
    pl.seed_everything(job.declaration.seed, verbose=False)
    fit_plainly(job, _Tells(), max_epochs=job.declaration.trainer.max_epochs)


if __name__ == "__main__":
    main()
