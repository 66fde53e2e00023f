"""Fit one run: from a checked declaration to the results in its folder.

Heavy libraries are imported at the top of this module; import it lazily, so that commands with nothing to do stay fast.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.network import plan_network
from pipeline.declaration.settings import SCORED_IN, TrainerSettings
from pipeline.files import replacing, write_text
from pipeline.pictures.curves import draw_curves
from pipeline.plans.table import as_text
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Decoded, Task
from pipeline.tracking.run import TrackedRun
from pipeline.training.assemble import (
    arrange,
    build_model,
    build_task,
    group_parameters,
    load_pretrained,
    make_optimizer,
    make_scheduler,
    make_train_split,
    modules_by_level,
)
from pipeline.training.checkpoints import ResumePoint, find_resume_point, read_checkpoint
from pipeline.training.checks import check_augmented, explain_steps
from pipeline.training.construction import build_augmentation
from pipeline.training.learner import Learner, Row
from pipeline.training.previews import draw_previews
from pipeline.training.threads import declared_threads
from pipeline.training.trainer import VerifiedInputs, device_slot, make_trainer, process_restored, quieten
from pipeline.transfer.folding import fold_norms
from pipeline.transfer.levels import frozen_modules
from pipeline.transfer.matching import Account

if TYPE_CHECKING:
    from pipeline.training.inputs import Inputs

PAUSE = 1.0  # minimum seconds between two writes to MLflow


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
    with declared_threads(declaration.trainer):
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
    if observer.has_stopped(history):
        return False
    augmentation = build_augmentation(declaration, inputs.statistics)
    train_split = make_train_split(declaration, inputs.prepared, augmentation, inputs.copies)
    with closing(_make_data(declaration, train_split, inputs.prepared, first_epoch=len(history))) as data:
        model = build_model(declaration, inputs.statistics)
        account = load_pretrained(declaration, model)
        _check_shape(declaration, data, model)
        task = build_task(declaration)
        if tracked is not None and observer.log_artifacts:
            draw_previews(declaration, data.train, augmentation, folder.path / "pictures")
            _log_network(declaration, account, tracked)
        learner = _make_learner(declaration, model, task, _EpochReport(declaration, tracked, observer))
        if not _is_complete(resumed, declaration.trainer):
            _train(declaration, learner, data, folder, resumed, tracked, is_child=is_child, inputs=inputs)
        inputs.verify()
        if tracked is not None and not learner.is_stopped:
            history = learner.history or history  # the former is empty if no epoch was left to train
            _write_results(declaration, folder, model, history, tracked)
            if observer.log_artifacts:
                _log_results(declaration, folder, Decoded(model, task), data, tracked)
            folder.previous.unlink(missing_ok=True)
        return not learner.is_stopped


def _make_data(
    declaration: Declaration, train_split: PreparedSplit, prepared: Prepared, *, first_epoch: int
) -> PreparedData:
    """Return the data module; validation images are centre-cropped to the input shape."""
    val = PreparedSplit(
        prepared.images("val"), prepared.targets("val"), prepared.kind, sides=declaration.input_shape[1:]
    )
    return PreparedData(
        train_split,
        val,
        batch_size=declaration.trainer.batch_size,
        num_workers=declaration.trainer.num_workers,
        seed=declaration.seed,
        first_epoch=first_epoch,
    )


def _make_learner(
    declaration: Declaration, model: nn.Sequential, task: Task, report: _EpochReport
) -> Learner:
    levels = modules_by_level(declaration, model)
    optimizer = make_optimizer(declaration)
    return Learner(
        arrange(model, declaration.trainer),
        task=task,
        make_optimizer=lambda parameters: optimizer(group_parameters(declaration, parameters, levels)),
        make_scheduler=make_scheduler(declaration),
        seed=declaration.seed,
        on_epoch=report,
        frozen=frozen_modules(levels, freeze=declaration.model["freeze"]),
    )


def _train(
    declaration: Declaration,
    learner: Learner,
    data: PreparedData,
    folder: RunFolder,
    resumed: ResumePoint | None,
    tracked: TrackedRun | None,
    *,
    is_child: bool,
    inputs: Inputs,
) -> None:
    """Train the remaining epochs of a run; its history is logged even if training raises."""
    demands, settings = load_demands(declaration.task), resolve(declaration.trainer, probe())
    slots = folder.path.parent / "slots"
    with process_restored(), device_slot(settings, slots, is_child=is_child) as devices:
        monitor = f"val/{demands.score}"
        trainer = make_trainer(settings, folder, monitor=monitor, mode=demands.mode, devices=devices)
        trainer.callbacks.insert(0, VerifiedInputs(inputs.verify))  # type: ignore[attr-defined]
        try:
            trainer.fit(learner, data, ckpt_path=resumed.path if resumed else None, weights_only=True)
        finally:
            if tracked is not None:
                tracked.log_history(learner.history)


class _EpochReport:
    """Report the metrics of each epoch: to MLflow, and to stderr if it cannot show a progress bar.

    Short epochs are logged to MLflow in batches, since a write to its database can take as long as an epoch.
    """

    def __init__(
        self, declaration: Declaration, tracked: TrackedRun | None, observer: TrainingObserver
    ) -> None:
        self._epochs = declaration.trainer.max_epochs
        self._tracked = tracked
        self._observer = observer
        self._score = f"val/{load_demands(declaration.task).score}"
        self._logged_at = time.monotonic()
        self._prints = declaration.trainer.progress and observer.log_artifacts and not sys.stderr.isatty()

    def __call__(self, history: list[Row]) -> bool:
        now = time.monotonic()
        if self._tracked is not None and now - self._logged_at >= PAUSE:
            self._tracked.log_history(history)
            self._logged_at = now
        if self._prints:
            row = history[-1]
            numbers = [f"{key} {row[key]:.4f}" for key in ("train/loss", "val/loss", self._score)]
            sys.stderr.write(f"epoch {int(row['epoch']) + 1}/{self._epochs}  {'  '.join(numbers)}\n")
        return self._observer.stops(history)


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
    declaration: Declaration, folder: RunFolder, model: nn.Module, history: list[Row], tracked: TrackedRun
) -> None:
    """Write and log the weights, history and scores of a trained run; load the kept weights into `model`."""
    source = folder.best if declaration.trainer.keep == "best" else folder.last
    checkpoint = read_checkpoint(source)
    kept = next(row for row in history if row["epoch"] == checkpoint["epoch"])
    weights = {key.removeprefix("model."): value for key, value in checkpoint["state_dict"].items()}
    model = model.cpu().eval()
    model.load_state_dict(weights)
    with replacing(folder.path / "weights.pt") as draft:
        torch.save(weights, draft)
    folder.write_history(history)
    score = kept[f"val/{load_demands(declaration.task).score}"]
    scores = {"score": score, "epoch": kept["epoch"]} | {
        key: kept[key] for key in kept if key.startswith("val/")
    }
    write_text(folder.path / "metrics.json", json.dumps(scores, indent=2) + "\n")
    state = folder.state()
    decided = {
        "declaration": digest(state["identity"]["declaration"]),
        "versions": state["identity"]["versions"],
    }
    result = {key: state[key] for key in ("fingerprint", "data")} | decided | {"scored_in": SCORED_IN}
    write_text(folder.path / "result.json", json.dumps(result, indent=2) + "\n")
    tracked.log_history(history)
    tracked.log_final(scores)


def _log_results(
    declaration: Declaration, folder: RunFolder, model: Decoded, data: PreparedData, tracked: TrackedRun
) -> None:
    """Draw the figures of a trained run; log them and the exported model."""
    kept = int(folder.metrics()["epoch"])
    draw_curves(folder.history(), folder.path / "pictures" / "learning_curves.png", kept=kept)
    tracked.log_files(folder.path / "pictures", "pictures")
    tracked.log_files(folder.path / "statistics", "statistics")
    if declaration.tracking.log_model and not folder.state().get("is_model_logged"):
        example = data.val[0, [0, -1]]["image"]
        exported = fold_norms(model.eval())
        with torch.inference_mode():
            outputs = exported(example).numpy()
        requirements = [f"torch=={torch.__version__.split('+')[0]}", f"numpy=={np.__version__}"]
        example_array = example.contiguous().numpy()
        tracked.log_model(exported, example=example_array, outputs=outputs, requirements=requirements)
        folder.update(is_model_logged=True)


def _log_network(declaration: Declaration, account: Account | None, tracked: TrackedRun) -> None:
    """Log the table of the network, and which pretrained weights were loaded."""
    tracked.log_text(as_text(plan_network(declaration)), "network.txt")
    if account is not None:
        sys.stderr.write(f"model.pretrained: {declaration.model['pretrained']}: {account}\n")
        tracked.log_text(account.table(), "pretrained.txt")


def _check_shape(declaration: Declaration, data: PreparedData, model: nn.Sequential) -> None:
    """Raise if the model cannot process the augmented images; dense tasks may train on smaller crops."""
    with explain_steps():
        images = data.train[0, [0]]["image"]
    check_augmented(declaration, images)
    with torch.inference_mode():
        model.get_submodule("preprocess")(images)
