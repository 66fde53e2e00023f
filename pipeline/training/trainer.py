"""The Lightning trainer of one run: hardware, precision, checkpoints, progress."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping

from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.settings import TrainerSettings
from pipeline.errors import ConfigError
from pipeline.runs.folder import RunFolder
from pipeline.runs.leader import is_leader
from pipeline.runs.lock import POLL, Held, locked
from pipeline.training.checkpoints import Checkpoints, DurableCheckpointIO
from pipeline.training.progress import ProgressBar, shows_bar

Devices = int | str | list[int]


class OwnSignals(Callback):
    """Keep the handler of SIGTERM that the process had: Lightning's would end training at some later step.

    Lightning's also waits for all processes of a distributed training, which may never come to it.
    """

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Put the handler back, after Lightning has set its own."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


class EarlyStoppingOnScores(EarlyStopping):
    """Early stopping that passes over epochs whose score is not defined, where Lightning's ends the training."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count an epoch as better or not, unless its score is NaN."""
        if not trainer.callback_metrics[self.monitor].isnan():
            super().on_train_epoch_end(trainer, pl_module)


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
        devices: passed to Lightning's `Trainer`; `trainer.devices` is not.

    Raises:
        ConfigError: Lightning rejects the settings on this machine.
    """
    settings = resolve(settings, probe())
    callbacks: list[Callback] = [Checkpoints(folder, monitor=monitor, mode=mode), OwnSignals()]
    if settings.early_stopping is not None:
        callbacks.append(
            EarlyStoppingOnScores(
                monitor,
                mode=mode,
                patience=int(settings.early_stopping["patience"]),
                min_delta=settings.early_stopping["min_delta"],
                check_on_train_epoch_end=True,
            )
        )
    if shows_bar(settings):
        callbacks.append(ProgressBar())
    try:
        trainer = pl.Trainer(
            accelerator=settings.accelerator,
            devices=devices,
            strategy=settings.strategy,
            precision=settings.precision,  # type: ignore[arg-type]
            max_epochs=settings.max_epochs,
            gradient_clip_val=settings.gradient_clip,
            deterministic=settings.deterministic,  # type: ignore[arg-type]
            callbacks=callbacks,
            plugins=[DurableCheckpointIO(folder)],
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder.path,
        )
    except (ImportError, TypeError, ValueError, RuntimeError, MisconfigurationException) as reason:
        text = " ".join(str(reason).split())
        raise ConfigError("trainer", f"Lightning refuses its settings: {text}", hint="correct them") from None
    _check_launch(trainer, settings)
    return trainer


def check_trainer(settings: TrainerSettings) -> None:
    """Check that Lightning accepts the settings on this machine, by building a trainer.

    Raises:
        ConfigError: it does not.
    """
    quieten()
    with process_restored():
        make_trainer(settings, RunFolder(Path()), monitor="score", mode="max", devices=settings.devices)


def _check_launch(trainer: pl.Trainer, settings: TrainerSettings) -> None:
    """Raise if a launcher started several processes, each of which would train alone, or if several cannot go back."""
    if trainer.world_size > 1 and settings.on_divergence == "halve":
        raise ConfigError(
            "trainer.on_divergence",
            got="halve",
            allowed=f"stop for the {trainer.world_size} processes of this training, which cannot go back together",
        )
    if trainer.world_size == 1 and not is_leader():
        raise ConfigError(
            "trainer.devices",
            "the launcher started several processes, and these settings train in one",
            got=settings.devices,
            hint="set trainer.devices to the number of processes and trainer.strategy=ddp, or start one process",
        )


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
