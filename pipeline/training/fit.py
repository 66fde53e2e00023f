"""Fit one run: from a checked declaration to the results in its folder.

Heavy libraries are imported here, so that the doors answer at once where there is nothing to do.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.declaration.checks import planned
from pipeline.errors import ConfigError
from pipeline.files import write_text
from pipeline.networks.planner import plan
from pipeline.pictures.curves import draw_curves
from pipeline.plans.network import Network
from pipeline.plans.table import as_text
from pipeline.runs.folder import RunFolder
from pipeline.runs.settings import TrainerSettings
from pipeline.runs.watch import Watch
from pipeline.tasks.demands import contract_of
from pipeline.tracking.run import TrackedRun
from pipeline.training.assemble import (
    augmentation_of,
    groups_of,
    levels_of,
    model_of,
    optimizer_of,
    scheduler_of,
    start_from,
    task_of,
    train_split_of,
)
from pipeline.training.learner import Learner, Row
from pipeline.training.previews import draw_previews
from pipeline.training.trainer import device_slot, process_restored, quieten, trainer_of
from pipeline.transfer.folding import fold_norms
from pipeline.transfer.levels import frozen_modules
from pipeline.transfer.matching import Account
from pipeline.transforms.statistics import Statistics

PAUSE = 1.0  # seconds between two calls of MLflow


def fit(
    config: Mapping[str, Any],
    folder: RunFolder,
    *,
    prepared: Prepared,
    statistics: Statistics,
    copies: Path | None,
    tracked: TrackedRun | None,
    watch: Watch,
) -> bool:
    """Train from the last checkpoint, or from the start, and write the results.

    Args:
        copies: the folder of draws made ahead; None to draw on the fly.
        tracked: the MLflow run to log to; None in all but the leading process.

    Returns:
        Whether it was trained to its end, and not stopped before.

    Raises:
        ConfigError: a setting that only shows to be wrong when objects are made or the loss diverges.
    """
    settings = TrainerSettings.of(config["trainer"])
    quieten()
    augmentation = augmentation_of(config, statistics)
    history = _history(folder)
    if watch.has_ended(history):
        return False
    train_split = train_split_of(config, prepared, augmentation, copies)
    data = _data_of(config, train_split, prepared, first_epoch=len(history))
    model = model_of(config, statistics)
    account = start_from(config, model)
    levels = levels_of(config, model)
    _check_shape(config, data, model)
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = task_of(config)
    score = f"val/{task.score}"
    learner = Learner(
        model,
        task=task,
        make_optimizer=lambda parameters: optimizer_of(config)(groups_of(config, parameters, levels)),
        make_scheduler=scheduler_of(config),
        seed=config["seed"],
        on_epoch=_EpochReport(settings, tracked, watch, score=score),
        frozen=frozen_modules(levels, freeze=config["model"]["freeze"]),
    )
    if tracked is not None and watch.shows:
        draw_previews(config, data.train, augmentation, folder.path / "pictures")
        _show_network(config, account, tracked)
    if not _is_complete(folder, settings, history):
        slots = folder.path.parent / "slots"
        with process_restored(), device_slot(settings, slots) as devices:
            trainer = trainer_of(settings, folder, monitor=score, devices=devices)
            try:
                trainer.fit(learner, data, ckpt_path=folder.last if folder.last.exists() else None)
            finally:
                if tracked is not None:
                    tracked.log_history(learner.history)
    if learner.is_stopped:
        return False
    if tracked is not None:
        history = learner.history or history  # empty where all was trained before
        _write_results(config, folder, model, tracked, history=history, score=score)
        if watch.shows:
            _show_results(config, folder, model, data, tracked)
    return True


def _data_of(
    config: Mapping[str, Any], train_split: PreparedSplit, prepared: Prepared, *, first_epoch: int
) -> PreparedData:
    """Return the training split, and the validation split as the network sees it."""
    settings = TrainerSettings.of(config["trainer"])
    sides = tuple(config["input_shape"][1:])
    return PreparedData(
        train_split,
        PreparedSplit(prepared.images("val"), prepared.targets("val"), sides=sides),
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        seed=config["seed"],
        first_epoch=first_epoch,
    )


class _EpochReport:
    """Pass each epoch's numbers on: to MLflow, and to a log where no progress bar can be shown.

    Short epochs reach MLflow together: its database takes as long for one as many a network for an epoch.
    """

    def __init__(
        self, settings: TrainerSettings, tracked: TrackedRun | None, watch: Watch, *, score: str
    ) -> None:
        self._epochs = settings.max_epochs
        self._tracked = tracked
        self._watch = watch
        self._score = score
        self._logged_at = time.monotonic()
        self._tells = settings.progress and watch.shows and not sys.stderr.isatty()

    def __call__(self, history: list[Row]) -> bool:
        now = time.monotonic()
        if self._tracked is not None and now - self._logged_at >= PAUSE:
            self._tracked.log_history(history)
            self._logged_at = now
        if self._tells:
            row = history[-1]
            numbers = [f"{key} {row[key]:.4f}" for key in ("train/loss", "val/loss", self._score)]
            sys.stderr.write(f"epoch {int(row['epoch']) + 1}/{self._epochs}  {'  '.join(numbers)}\n")
        return self._watch.ends(history)


def _is_complete(folder: RunFolder, settings: TrainerSettings, history: list[Row]) -> bool:
    """Tell whether the last checkpoint is that of the run's last epoch, so that nothing is left to train."""
    if len(history) >= settings.max_epochs:
        return True
    if settings.early_stopping is None or not folder.last.exists():
        return False
    states = torch.load(folder.last, map_location="cpu", weights_only=True)["callbacks"]
    waited = [state["wait_count"] for state in states.values() if "wait_count" in state]
    return bool(waited) and waited[0] >= settings.early_stopping["patience"]


def _history(folder: RunFolder) -> list[Row]:
    """Return the history in the last checkpoint."""
    if not folder.last.exists():
        return []
    history: list[Row] = torch.load(folder.last, map_location="cpu", weights_only=True)["history"]
    return history


def _write_results(
    config: Mapping[str, Any],
    folder: RunFolder,
    model: nn.Module,
    tracked: TrackedRun,
    *,
    history: list[Row],
    score: str,
) -> None:
    """Write weights, history and scores of a trained run, and log them; leave the kept weights in the model."""
    source = folder.best if config["trainer"]["keep"] == "best" else folder.last
    checkpoint = torch.load(source, map_location="cpu", weights_only=True)
    kept = next(row for row in history if row["epoch"] == checkpoint["epoch"])
    weights = {key.removeprefix("model."): value for key, value in checkpoint["state_dict"].items()}
    model = model.cpu().eval()
    model.load_state_dict(weights)
    draft = folder.path / "weights.pt.unfinished"
    torch.save(weights, draft)
    draft.replace(folder.path / "weights.pt")
    write_text(folder.path / "history.csv", _csv(history))
    scores = {"score": kept[score], "epoch": kept["epoch"]} | {
        key: kept[key] for key in kept if key.startswith("val/")
    }
    write_text(folder.path / "metrics.json", json.dumps(scores, indent=2) + "\n")
    tracked.log_history(history)
    tracked.log_final(scores)


def _show_results(
    config: Mapping[str, Any],
    folder: RunFolder,
    model: nn.Module,
    data: PreparedData,
    tracked: TrackedRun,
) -> None:
    """Draw the pictures of a trained run, and log them and its model."""
    kept = int(folder.metrics()["epoch"])
    draw_curves(folder.history(), folder.path / "pictures" / "learning_curves.png", kept=kept)
    tracked.log_files(folder.path / "pictures", "pictures")
    tracked.log_files(folder.path / "statistics", "statistics")
    if config["tracking"]["log_model"] and not folder.state().get("is_model_logged"):
        example = data.val[0, [0, -1]]["image"]
        exported = fold_norms(model)
        with torch.inference_mode():
            outputs = exported(example).numpy()
        requirements = [f"torch=={torch.__version__.split('+')[0]}", f"numpy=={np.__version__}"]
        example_array = example.contiguous().numpy()
        tracked.log_model(exported, example=example_array, outputs=outputs, requirements=requirements)
        folder.update(is_model_logged=True)


def _show_network(config: Mapping[str, Any], account: Account | None, tracked: TrackedRun) -> None:
    """Log the network's table, and what it took from a checkpoint."""
    tracked.log_text(as_text(planned(config)), "network.txt")
    if account is not None:
        sys.stderr.write(f"model.pretrained: {config['model']['pretrained']}: {account}\n")
        tracked.log_text(account.table(), "pretrained.txt")


def _check_shape(config: Mapping[str, Any], data: PreparedData, model: nn.Sequential) -> None:
    """Refuse an augmentation whose images the model does not take; a dense task may be learnt from crops."""
    try:
        images = data.train[0, [0]]["image"]
    except ConfigError:
        raise
    except Exception as reason:  # of any library whose steps are named
        text = " ".join(str(reason).split())
        raise ConfigError(f"augmentation: a step refuses the images of data.shape: {text}") from reason
    shape, usual = tuple(images.shape[1:]), planned(config)
    if images.dtype != torch.uint8:
        raise ConfigError(
            f"augmentation: its steps turn bytes into {images.dtype}, which preprocess does itself; remove steps "
            "such as Normalize or ToFloat"
        )
    with torch.inference_mode():
        model.get_submodule("preprocess")(images)
    is_dense = contract_of(config["task"]["_target_"]).is_dense
    if shape != usual.shape and not (is_dense and _weights(config, shape, usual) == usual.weights):
        raise ConfigError(
            f"augmentation: its steps turn images of data.shape {tuple(config['data']['shape'])} into {shape}, and "
            f"model {usual.name} takes input_shape {usual.shape}; end with a step that restores it, or change "
            "input_shape"
        )


def _weights(config: Mapping[str, Any], shape: tuple[int, ...], usual: Network) -> int | None:
    """Return how many weights the network has for images of another shape; None where it does not fit them."""
    try:
        return plan(config["model"], shape=shape, outputs=usual.outputs).weights
    except ConfigError:
        return None


def _csv(history: list[Row]) -> str:
    text = io.StringIO()
    rows = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    rows.writeheader()
    rows.writerows(history)
    return text.getvalue()
