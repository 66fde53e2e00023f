"""Fit one run: from a checked declaration to the results in its folder.

Heavy libraries are imported at the top of this module; import it lazily, so that commands with nothing to do stay fast.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytorch_lightning as pl
import torch
from torch import nn

from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.network import has_batch_norms, plan_network
from pipeline.declaration.settings import TrainerSettings
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.task import Decoded, Task
from pipeline.tracking.run import TrackedRun
from pipeline.training.account import log_start
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.assemble import (
    arrange,
    build_model,
    build_task,
    group_parameters,
    load_pretrained,
    make_fixed_split,
    make_optimizer,
    make_scheduler,
    make_train_split,
    modules_by_level,
    resolve_task,
    set_norms,
)
from pipeline.training.averaging import Averaging
from pipeline.training.checkpoints import ResumePoint, find_resume_point
from pipeline.training.checks import check_augmented, check_count, explain_steps
from pipeline.training.construction import build_augmentation
from pipeline.training.divergence import MOST_HALVINGS, Diverged, Halving, say_halving
from pipeline.training.epoch_report import EpochReport, with_score
from pipeline.training.finishing import complete, log_results
from pipeline.training.layer_names import name_layer, name_layers
from pipeline.training.learner import Learner, Row
from pipeline.training.previews import draw_previews
from pipeline.training.remarks import Remarks, Watched
from pipeline.training.results import Result, log_result, write_results
from pipeline.training.selection import Selection, find_selection
from pipeline.training.trainer import VerifiedInputs, device_slot, make_trainer, process_restored, quieten
from pipeline.training.watching import watched_layers
from pipeline.transfer.levels import frozen_modules

if TYPE_CHECKING:
    from pipeline.training.inputs import Inputs


def fit(
    declaration: Declaration,
    folder: RunFolder,
    *,
    inputs: Inputs,
    tracked: TrackedRun | None,
    observer: TrainingObserver,
    is_child: bool,
) -> bool:
    """Train from the last checkpoint, or from scratch, and write the results.

    Args:
        tracked: the MLflow run to log to; None except in the leading process.
        is_child: whether other runs of a sweep or search may train beside this one.

    Returns:
        Whether training completed, as opposed to being stopped by the observer.

    Raises:
        ConfigError: a setting turns out to be invalid when objects are built, or the loss diverges.
        DamagedFileError: an input is damaged; nothing was kept of it.
    """
    quieten()
    with declared_arithmetic(declaration.trainer):
        return _fit(declaration, folder, inputs=inputs, tracked=tracked, observer=observer, is_child=is_child)


def _fit(
    declaration: Declaration,
    folder: RunFolder,
    *,
    inputs: Inputs,
    tracked: TrackedRun | None,
    observer: TrainingObserver,
    is_child: bool,
) -> bool:
    """Train, going back and halving the learning rate where training diverges, if the declaration says so."""
    halvings: list[Halving] = []
    is_told = tracked is not None and observer.log_artifacts
    while True:
        try:
            return _train(
                declaration,
                folder,
                inputs=inputs,
                tracked=tracked,
                observer=observer,
                is_child=is_child,
                halvings=halvings,
            )
        except Diverged as reason:
            inputs.verify()  # since damage may be why
            error = reason.with_files(inputs.prepared.files)
            if declaration.trainer.on_divergence == "stop":
                raise error from None
            halvings = error.next_halvings()
            if is_told:
                sys.stderr.write(f"{say_halving(halvings[-1])} ({len(halvings)} of {MOST_HALVINGS})\n")


def _train(
    declaration: Declaration,
    folder: RunFolder,
    *,
    inputs: Inputs,
    tracked: TrackedRun | None,
    observer: TrainingObserver,
    is_child: bool,
    halvings: Sequence[Halving],
) -> bool:
    """Train from the last checkpoint, or from scratch; the learning rate was halved before; see `fit`."""
    resumed = find_resume_point(folder, keep=declaration.trainer.keep)
    history: list[Row] = resumed.history if resumed else []
    selection = find_selection(declaration, inputs.prepared)
    if observer.has_stopped([with_score(row, selection) for row in history]):
        return False
    augmentation = build_augmentation(declaration, inputs.statistics)
    train_split = make_train_split(declaration, inputs.prepared, augmentation, inputs.copies)
    with closing(_make_data(declaration, train_split, inputs.prepared, first_epoch=len(history))) as data:
        model = build_model(declaration, inputs.statistics)
        account, raised = load_pretrained(declaration, model), set_norms(declaration, model)
        _check_images(declaration, data, model)
        resolved = resolve_task(declaration, inputs.prepared)
        task = build_task(declaration, resolved.settings)
        if tracked is not None and observer.log_artifacts and not halvings:
            draw_previews(declaration, data.train, augmentation, task, folder.path / "pictures")
            log_start(
                declaration, tracked, account=account, raised=raised, task=resolved, selection=selection
            )
        remarks = Remarks(_watched(declaration, model, selection, num_val=len(data.val)))
        report = EpochReport(declaration, selection, tracked, observer, remarks)
        learner = _make_learner(declaration, model, task, report, data)
        learner.halvings = list(halvings) or (resumed.halvings if resumed else [])
        if not _is_complete(resumed, declaration.trainer):
            with (
                _history_logged(learner, tracked),
                _trainer(declaration, folder, selection, is_child=is_child) as trainer,
            ):
                trainer.callbacks.insert(0, VerifiedInputs(inputs.verify))  # type: ignore[attr-defined]
                trainer.fit(learner, data, ckpt_path=resumed.path if resumed else None, weights_only=True)
        inputs.verify()
        if tracked is not None and not learner.is_stopped:
            history = learner.history or history  # the former is empty if no epoch was left to train
            about = selection.about(task, inputs.prepared, declaration.data.classes)
            result = Result(history, about, resolved.settings, learner.halvings, remarks.of(history))
            write_results(declaration, folder, model, result)
            folder.update(state="trained")
            log_scores = partial(log_result, declaration, folder, tracked, result)
            _complete(declaration, folder, Decoded(model, task), data, observer, tracked, log_scores)
        return not learner.is_stopped


def _complete(
    declaration: Declaration,
    folder: RunFolder,
    model: Decoded,
    data: PreparedData,
    observer: TrainingObserver,
    tracked: TrackedRun,
    log_scores: Callable[[], None],
) -> None:
    """Log the results of a trained run, and draw and log what the observer asks for."""
    steps: dict[str, Callable[[], object]] = {"the scores cannot be logged": log_scores}
    if observer.log_artifacts:
        steps |= log_results(declaration, folder, model, data, tracked)
    complete(folder, steps)
    folder.previous.unlink(missing_ok=True)


def _make_data(
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


def _watched(
    declaration: Declaration, model: nn.Sequential, selection: Selection, *, num_val: int
) -> Watched:
    """Return what remarks need to know of a training."""
    places = name_layers(declaration, model)
    return Watched(
        column=selection.column,
        sign={"max": 1, "min": -1}[selection.mode],
        layers=[name_layer(path, module, places) for path, module in watched_layers(model)],
        has_batch_norms=has_batch_norms(plan_network(declaration)),
        is_averaged=declaration.trainer.average is not None,
        num_val=num_val,
    )


def _make_learner(
    declaration: Declaration, model: nn.Sequential, task: Task, report: EpochReport, data: PreparedData
) -> Learner:
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
def _trainer(
    declaration: Declaration, folder: RunFolder, selection: Selection, *, is_child: bool
) -> Iterator[pl.Trainer]:
    """Yield the trainer of a run; what Lightning changes of the process is restored afterwards."""
    settings = resolve(declaration.trainer, probe())
    slots = folder.path.parent / "slots"
    with process_restored(), device_slot(settings, slots, is_child=is_child) as devices:
        yield make_trainer(settings, folder, monitor=selection.column, mode=selection.mode, devices=devices)


@contextmanager
def _history_logged(learner: Learner, tracked: TrackedRun | None) -> Iterator[None]:
    """Log the history of a training that raises."""
    try:
        yield
    except BaseException:
        if tracked is not None:
            with suppress(Exception):  # what ended training is told, not what that led to
                tracked.log_history(learner.history)
        raise


def _is_complete(resumed: ResumePoint | None, settings: TrainerSettings) -> bool:
    """Return whether no epoch is left to train, because `max_epochs` is reached or early stopping has triggered."""
    if resumed is None:
        return False
    if len(resumed.history) >= settings.max_epochs:
        return True
    if settings.early_stopping is None or resumed.patience_used is None:
        return False
    return bool(resumed.patience_used >= settings.early_stopping["patience"])


def _check_images(declaration: Declaration, data: PreparedData, model: nn.Sequential) -> None:
    """Raise if the model cannot be trained on the augmented images; dense tasks may train on smaller crops."""
    check_count(declaration, len(data.train))
    with explain_steps():
        images = data.train[0, [0]]["image"]
    check_augmented(declaration, images)
    with torch.inference_mode():
        model.get_submodule("preprocess")(images)
