"""The Lightning trainer of one run: hardware, precision, checkpoints, progress."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from math import inf, isnan
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, RichProgressBar

from pipeline.declaration.settings import TrainerSettings
from pipeline.errors import ConfigError
from pipeline.runs.folder import RunFolder
from pipeline.runs.lock import POLL, Held, locked

Devices = int | str | list[int]


def device_precision(settings: TrainerSettings) -> str:
    """Return Lightning's precision for `trainer.precision`, resolving `auto` by the hardware."""
    if settings.precision != "auto":
        return settings.precision
    if torch.cuda.is_available() and settings.accelerator != "cpu":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = torch.cpu.get_capabilities().get("amx_tile", False)
    return "bf16-mixed" if has_bf16 else "32-true"


class Checkpoints(Checkpoint):
    """Save a checkpoint of the last epoch, to resume from, and one of the best epoch.

    Lightning's ModelCheckpoint would be needed twice, runs hooks at every step, and loses its best score if the project
    is moved to another folder.

    Args:
        monitor: score that selects the best epoch; the first one wins ties.
        mode: `max` if a higher score is better, `min` if a lower one is.
    """

    def __init__(self, folder: RunFolder, *, monitor: str, mode: str) -> None:
        self.folder = folder
        self.monitor = monitor
        self.sign = {"max": 1, "min": -1}[mode]
        self.best: float | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the checkpoints atomically; the best one first, since the last one refers to it."""
        score = self.sign * float(trainer.callback_metrics[self.monitor])
        score = -inf if isnan(score) else score
        if self.best is None or score > self.best:
            self.best = score
            trainer.save_checkpoint(self.folder.best, weights_only=True)
        trainer.save_checkpoint(self.folder.last)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far, signed so that higher is better."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score so far."""
        self.best = state_dict["best"]


class VerifiedInputs(Callback):
    """Wait for the check of the inputs before anything of an epoch is recorded or saved.

    Args:
        verify: returns when the inputs have been found to be undamaged; otherwise raises.
    """

    def __init__(self, verify: Callable[[], None]) -> None:
        self._verify = verify

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Wait; Lightning calls this before the learner's own hook, and before checkpoints are written."""
        self._verify()


@contextmanager
def device_slot(settings: TrainerSettings, slots: Path, *, is_child: bool) -> Iterator[Devices]:
    """Reserve one of several GPUs for a run of a sweep or search, waiting until one is free.

    Otherwise Lightning would place all concurrent runs on the first GPU.

    Args:
        slots: folder of the lock files, one per GPU of each machine.
        is_child: whether the run is part of a sweep or search.
    """
    count = torch.cuda.device_count()
    is_for_gpu = settings.devices == 1 and settings.accelerator in ("auto", "gpu", "cuda")
    if count < 2 or not is_for_gpu or not is_child:
        yield settings.devices
        return
    with ExitStack() as stack:
        for number in cycle(range(count)):
            try:
                stack.enter_context(locked(slots / f"{socket.gethostname()}-{number}", waits=False))
                break
            except Held:
                time.sleep(POLL / count)
        yield [number]


def make_trainer(
    settings: TrainerSettings, folder: RunFolder, *, monitor: str, mode: str, devices: Devices
) -> pl.Trainer:
    """Return a trainer that saves its best and last checkpoints in a run folder.

    Args:
        monitor: score that selects the best epoch.
        mode: `max` if a higher score is better, `min` if a lower one is.
        devices: passed to Lightning's `Trainer`.

    Raises:
        ConfigError: Lightning rejects the settings on this machine.
    """
    callbacks: list[Callback] = [Checkpoints(folder, monitor=monitor, mode=mode)]
    if settings.early_stopping is not None:
        callbacks.append(
            EarlyStopping(
                monitor,
                mode=mode,
                patience=int(settings.early_stopping["patience"]),
                min_delta=settings.early_stopping["min_delta"],
                check_on_train_epoch_end=True,
            )
        )
    if settings.progress and sys.stderr.isatty():
        callbacks.append(RichProgressBar(leave=False))
    try:
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=devices,
            strategy=settings.strategy,
            precision=device_precision(settings),  # type: ignore[arg-type]
            max_epochs=settings.max_epochs,
            gradient_clip_val=settings.gradient_clip,
            deterministic=settings.deterministic,  # type: ignore[arg-type]
            callbacks=callbacks,
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=settings.progress and sys.stderr.isatty(),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder.path,
        )
    except (ValueError, RuntimeError, MisconfigurationException) as reason:
        raise ConfigError(
            "trainer", f"Lightning refuses its settings: {reason}", hint="correct them"
        ) from None


@contextmanager
def process_restored() -> Iterator[None]:
    """Restore the process-wide state that Lightning changes, so that it does not affect the next run.

    This includes environment variables, which would make the next run wait for processes that no longer exist.
    Inside the block, torch does not fill uninitialized memory in deterministic mode: a debugging aid that takes up to a
    tenth of the training time.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    environment = dict(os.environ)
    memory: Any = torch.utils.deterministic  # mypy does not see the attribute of this module
    fills, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
        memory.fill_uninitialized_memory = fills
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)


def quieten() -> None:
    """Silence messages that Lightning prints at each start and that are not actionable."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # logged values are already reduced
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*No complete tensor found in the group.*")
    warnings.filterwarnings("ignore", message=".*number of training batches .* is smaller than.*")
