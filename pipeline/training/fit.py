"""Fit one run: from a checked declaration to the results in its folder.

Heavy libraries are imported at the top of this module; import it lazily, so that commands with nothing to do stay fast.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.data.module import PreparedData
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.settings import TrainerSettings
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.task import Decoded
from pipeline.tracking.run import TrackedRun
from pipeline.training.account import log_start
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.assemble import (
    build_model,
    build_task,
    load_pretrained,
    make_train_split,
    resolve_task,
    set_norms,
)
from pipeline.training.checkpoints import ResumePoint, find_resume_point
from pipeline.training.checks import check_augmented, check_count, explain_steps
from pipeline.training.construction import build_augmentation
from pipeline.training.divergence import MOST_HALVINGS, Diverged, Halving, say_halving
from pipeline.training.epoch_report import EpochReport, with_score
from pipeline.training.finishing import complete, log_results
from pipeline.training.frames import frame_steps, make_frames
from pipeline.training.learner import Learner, Row
from pipeline.training.previews import draw_previews
from pipeline.training.results import Result, log_result, write_results
from pipeline.training.selection import find_selection
from pipeline.training.trainer import VerifiedInputs, quieten
from pipeline.training.wiring import make_data, make_learner, make_remarks, making_trainer

if TYPE_CHECKING:
    from pipeline.training.inputs import Inputs


@dataclass(frozen=True)
class _Fitting:
    """What `fit` is given."""

    declaration: Declaration
    folder: RunFolder
    inputs: Inputs
    tracked: TrackedRun | None
    observer: TrainingObserver
    is_child: bool


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
        return _fit(_Fitting(declaration, folder, inputs, tracked, observer, is_child))


def _fit(given: _Fitting) -> bool:
    """Train, going back and halving the learning rate where training diverges, if the declaration says so."""
    halvings: list[Halving] = []
    is_told = given.tracked is not None and given.observer.log_artifacts
    while True:
        try:
            return _train(given, halvings)
        except Diverged as reason:
            given.inputs.verify()  # since damage may be why
            error = reason.with_files(given.inputs.prepared.files)
            if given.declaration.trainer.on_divergence == "stop":
                raise error from None
            halvings = error.next_halvings()
            if is_told:
                sys.stderr.write(f"{say_halving(halvings[-1])} ({len(halvings)} of {MOST_HALVINGS})\n")


def _train(given: _Fitting, halvings: Sequence[Halving]) -> bool:
    """Train from the last checkpoint, or from scratch; the learning rate was halved before; see `fit`."""
    declaration, folder, tracked, observer = given.declaration, given.folder, given.tracked, given.observer
    prepared = given.inputs.prepared
    resumed = find_resume_point(folder, keep=declaration.trainer.keep)
    history: list[Row] = resumed.history if resumed else []
    selection = find_selection(declaration, prepared)
    if observer.has_stopped([with_score(row, selection) for row in history]):
        return False
    augmentation = build_augmentation(declaration, given.inputs.statistics)
    train_split = make_train_split(declaration, prepared, augmentation, given.inputs.copies)
    with closing(make_data(declaration, train_split, prepared, first_epoch=len(history))) as data:
        model = build_model(declaration, given.inputs.statistics)
        account, raised = load_pretrained(declaration, model), set_norms(declaration, model)
        _check_images(declaration, data, model)
        resolved = resolve_task(declaration, prepared)
        task = build_task(declaration, resolved.settings)
        if tracked is not None and observer.log_artifacts and not halvings:
            draw_previews(declaration, data.train, augmentation, task, folder.path / "pictures")
            log_start(
                declaration, tracked, account=account, raised=raised, task=resolved, selection=selection
            )
        remarks = make_remarks(declaration, model, task, selection, num_val=len(data.val))
        report = EpochReport(declaration, selection, tracked, observer, remarks)
        learner = make_learner(declaration, model, task, report, data)
        learner.halvings = list(halvings) or (resumed.halvings if resumed else [])
        callbacks = [VerifiedInputs(given.inputs.verify), *make_frames(task, data.val, folder, observer)]
        if not _is_complete(resumed, declaration.trainer):
            with (
                _history_logged(learner, tracked),
                making_trainer(declaration, folder, selection, callbacks, is_child=given.is_child) as trainer,
            ):
                trainer.fit(learner, data, ckpt_path=resumed.path if resumed else None, weights_only=True)
        given.inputs.verify()
        if tracked is not None and not learner.is_stopped:
            history = learner.history or history  # the former is empty if no epoch was left to train
            about = selection.about(task, prepared, declaration.data.classes)
            told = [str(each) for each in remarks.of(history)]
            _finish(given, learner, data, Result(history, about, resolved.settings, learner.halvings, told))
        return not learner.is_stopped


def _finish(given: _Fitting, learner: Learner, data: PreparedData, result: Result) -> None:
    """Write the results of a training, and log them with what the observer asks for."""
    declaration, folder, tracked, task = given.declaration, given.folder, given.tracked, learner.task
    assert tracked is not None, "the leading process finishes"
    result = write_results(declaration, folder, learner, result, given.inputs.prepared)
    folder.update(state="trained")
    log_scores = partial(log_result, declaration, folder, tracked, result)
    steps: dict[str, Callable[[], object]] = {"the scores cannot be logged": log_scores}
    if given.observer.log_artifacts:
        steps |= frame_steps(task, learner.model, data.val, folder)
        steps |= log_results(declaration, folder, Decoded(learner.model, task), data, tracked)
    complete(folder, steps)
    folder.previous.unlink(missing_ok=True)


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
