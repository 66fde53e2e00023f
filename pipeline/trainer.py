"""The Lightning trainer of one run: hardware, precision, checkpoints, progress."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar

from pipeline.errors import ConfigError
from pipeline.runs.folder import RunFolder
from pipeline.runs.lock import POLL, Held, locked
from pipeline.runs.settings import TrainerSettings
from pipeline.tracking.variables import PARENT_VARIABLE

Devices = int | str | list[int]


def device_precision(settings: TrainerSettings) -> str:
    """Return Lightning's precision for `trainer.precision`; `auto` looks at the hardware."""
    if settings.precision != "auto":
        return settings.precision
    if torch.cuda.is_available() and settings.accelerator != "cpu":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bf16 = torch.cpu.get_capabilities().get("amx_tile", False)
    return "bf16-mixed" if has_bf16 else "32-true"


class _Checkpoint(ModelCheckpoint):
    """A checkpoint that remembers its best score where the project was moved; Lightning would forget it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state as if it had been saved in the present folder."""
        here, before = str(self.dirpath), state_dict["dirpath"]
        moved = {
            key: value.replace(before, here) if isinstance(value, str) else value
            for key, value in state_dict.items()
        }
        best = {path.replace(before, here): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(moved | {"best_k_models": best})


@contextmanager
def device_slot(settings: TrainerSettings, slots: Path) -> Iterator[Devices]:
    """Hold a GPU of its own for one run of a sweep or search, where there are several; wait until one is free.

    Lightning would train all that go on beside each other on the first.

    Args:
        slots: folder of the locks, on this machine's devices and others'.
    """
    count = torch.cuda.device_count()
    is_for_gpu = settings.devices == 1 and settings.accelerator in ("auto", "gpu", "cuda")
    if count < 2 or not is_for_gpu or PARENT_VARIABLE not in os.environ:
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


def trainer_of(settings: TrainerSettings, folder: RunFolder, *, monitor: str, devices: Devices) -> pl.Trainer:
    """Return a trainer that keeps its best and last checkpoints in a run folder.

    Args:
        monitor: score that picks the best epoch; up is better.
        devices: as Lightning takes them.

    Raises:
        ConfigError: Lightning refuses the settings on this machine.
    """
    checkpoint = partial(
        _Checkpoint, dirpath=folder.path, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [
        checkpoint(filename="best", monitor=monitor, mode="max", save_weights_only=True),
        checkpoint(filename="last"),
    ]
    if settings.early_stopping is not None:
        callbacks.append(
            EarlyStopping(
                monitor,
                mode="max",
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
        raise ConfigError(f"trainer: Lightning refuses its settings: {reason}") from None


@contextmanager
def process_restored() -> Iterator[None]:
    """Undo what Lightning switches for the whole process, so that the next run starts fresh.

    What it leaves in the environment would make the next run wait for processes that have ended with this one.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    environment = dict(os.environ)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)


def quieten() -> None:
    """Silence what Lightning says at each start and nobody can act on."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")  # what is logged is that of all processes
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*No complete tensor found in the group.*")
    warnings.filterwarnings("ignore", message=".*number of training batches .* is smaller than.*")
