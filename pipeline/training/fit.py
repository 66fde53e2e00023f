"""Fit one run: from a checked declaration to the results in its folder.

Heavy libraries are imported at the top of this module; import it lazily, so that commands with nothing to do stay fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import nn

from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.settings import SCORED_IN, TrainerSettings
from pipeline.files import replacing, write_text
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
from pipeline.training.averaging import Averaging, count_averaged, kept_weights
from pipeline.training.checkpoints import ResumePoint, find_resume_point, read_checkpoint
from pipeline.training.checks import check_augmented, check_count, explain_steps
from pipeline.training.construction import build_augmentation
from pipeline.training.description import describe_run
from pipeline.training.epoch_report import EpochReport, with_score
from pipeline.training.finishing import complete, log_results
from pipeline.training.learner import Learner, Row
from pipeline.training.previews import draw_previews
from pipeline.training.selection import Selection, find_selection
from pipeline.training.trainer import VerifiedInputs, device_slot, make_trainer, process_restored, quieten
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
        if tracked is not None and observer.log_artifacts:
            draw_previews(declaration, data.train, augmentation, task, folder.path / "pictures")
            log_start(
                declaration, tracked, account=account, raised=raised, task=resolved, selection=selection
            )
        report = EpochReport(declaration, selection, tracked, observer)
        learner = _make_learner(declaration, model, task, report, data)
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
            _write_results(declaration, folder, model, history, about, task=resolved.settings)
            folder.update(state="trained")
            log_scores = partial(_log_scores, declaration, folder, tracked, history, about)
            steps: dict[str, Callable[[], object]] = {"the scores cannot be logged": log_scores}
            if observer.log_artifacts:
                steps |= log_results(declaration, folder, Decoded(model, task), data, tracked)
            complete(folder, steps)
            folder.previous.unlink(missing_ok=True)
        return not learner.is_stopped


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


def _write_results(
    declaration: Declaration,
    folder: RunFolder,
    model: nn.Module,
    history: list[Row],
    selection: Mapping[str, Any],
    *,
    task: Mapping[str, Any],
) -> None:
    """Write the weights, history and scores of a trained run; load the kept weights into `model`.

    Args:
        selection: what `result.json` says of the selecting score.
        task: the section `task` with what the training split decided.
    """
    source = folder.best if declaration.trainer.keep == "best" else folder.last
    checkpoint = read_checkpoint(source)
    kept = next(row for row in history if row["epoch"] == checkpoint["epoch"])
    weights = kept_weights(checkpoint)
    model = model.cpu().eval()
    model.load_state_dict(weights)
    with replacing(folder.path / "weights.pt") as draft:
        torch.save(weights, draft)
    folder.write_history(history)
    scores = {"score": kept[f"val/{selection['score']}"], "epoch": kept["epoch"]} | {
        key: kept[key] for key in kept if key.startswith("val/")
    }
    write_text(folder.path / "metrics.json", json.dumps(scores, indent=2) + "\n")
    state = folder.state()
    decided = {
        "declaration": digest(state["identity"]["declaration"]),
        "versions": state["identity"]["versions"],
    }
    result = {key: state[key] for key in ("fingerprint", "data")} | decided
    result |= {"scored_in": SCORED_IN, "selection": selection}
    result |= {"task": task} if task != declaration.task else {}
    if declaration.trainer.average is not None:
        result["average"] = {**declaration.trainer.average, "averaged": count_averaged(checkpoint)}
    write_text(folder.path / "result.json", json.dumps(result, indent=2) + "\n")


def _log_scores(
    declaration: Declaration,
    folder: RunFolder,
    tracked: TrackedRun,
    history: list[Row],
    selection: Mapping[str, Any],
) -> None:
    scores = folder.metrics()
    tracked.log_history(history)
    tracked.log_final(scores, selection)
    place = f"runs/{folder.path.name}"
    tracked.log_note(describe_run(declaration, scores, score=selection["score"], folder=place))


def _check_images(declaration: Declaration, data: PreparedData, model: nn.Sequential) -> None:
    """Raise if the model cannot be trained on the augmented images; dense tasks may train on smaller crops."""
    check_count(declaration, len(data.train))
    with explain_steps():
        images = data.train[0, [0]]["image"]
    check_augmented(declaration, images)
    with torch.inference_mode():
        model.get_submodule("preprocess")(images)
