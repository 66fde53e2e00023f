"""The data module, the learner and the trainer of a declaration, put together for one training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import nn

from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.network import has_batch_norms, plan_network
from pipeline.runs.folder import RunFolder
from pipeline.tasks.task import Measuring, Task
from pipeline.training.assemble import (
    arrange,
    group_parameters,
    make_fixed_split,
    make_optimizer,
    make_scheduler,
    modules_by_level,
)
from pipeline.training.averaging import Averaging
from pipeline.training.epoch_report import EpochReport
from pipeline.training.layer_names import name_layer, name_layers
from pipeline.training.learner import Learner
from pipeline.training.remarks import Remarks, Watched
from pipeline.training.selection import Selection
from pipeline.training.trainer import device_slot, make_trainer, process_restored
from pipeline.training.watching import watched_layers
from pipeline.transfer.levels import frozen_modules


def make_data(
    declaration: Declaration, train_split: PreparedSplit, prepared: Prepared, *, first_epoch: int
) -> PreparedData:
    """Return the data module; validation images are centre-cropped to the input shape."""
    val = make_fixed_split(declaration, prepared, "val", is_centred=True)
    return PreparedData(
        train_split,
        val,
        batch_size=declaration.trainer.batch_size,
        num_workers=declaration.trainer.num_workers,
        seed=declaration.seed,
        sampler=declaration.trainer.sampler,
        first_epoch=first_epoch,
    )


def make_remarks(
    declaration: Declaration, model: nn.Sequential, task: Task, selection: Selection, *, num_val: int
) -> Remarks:
    """Return what remarks are made by, on a training with so many validation images."""
    places = name_layers(declaration, model)
    watched = Watched(
        column=selection.column,
        sign={"max": 1, "min": -1}[selection.mode],
        layers=[name_layer(path, module, places) for path, module in watched_layers(model)],
        has_batch_norms=has_batch_norms(plan_network(declaration)),
        is_averaged=declaration.trainer.average is not None,
        num_val=num_val,
    )
    return Remarks(watched, task.alarms if isinstance(task, Measuring) else None)


def make_learner(
    declaration: Declaration, model: nn.Sequential, task: Task, report: EpochReport, data: PreparedData
) -> Learner:
    """Return the learner of a model, which averages its weights if the declaration says so."""
    levels = modules_by_level(declaration, model)
    optimizer = make_optimizer(declaration)
    frozen = frozen_modules(levels, freeze=declaration.model["freeze"])
    learner = Learner(
        arrange(model, declaration.trainer),
        task=task,
        make_optimizer=lambda parameters: optimizer(group_parameters(declaration, parameters, levels)),
        make_scheduler=make_scheduler(declaration),
        seed=declaration.seed,
        on_epoch=report,
        frozen=frozen,
    )
    learner.places = name_layers(declaration, model)
    settings = declaration.trainer
    if settings.average is not None:
        learner.average = Averaging(
            settings.average, max_epochs=settings.max_epochs, batches=data.batches_of, frozen=frozen
        )
    return learner


@contextmanager
def making_trainer(
    declaration: Declaration,
    folder: RunFolder,
    selection: Selection,
    callbacks: Sequence[Callback],
    *,
    is_child: bool,
) -> Iterator[pl.Trainer]:
    """Yield the trainer of a run; what Lightning changes of the process is restored afterwards.

    Args:
        callbacks: called before all others.
    """
    settings = resolve(declaration.trainer, probe())
    slots = folder.path.parent / "slots"
    with process_restored(), device_slot(settings, slots, is_child=is_child) as devices:
        trainer = make_trainer(
            settings, folder, monitor=selection.column, mode=selection.mode, devices=devices
        )
        trainer.callbacks[:0] = callbacks  # type: ignore[attr-defined]
        yield trainer
