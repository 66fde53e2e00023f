"""The progress bar of a training on a terminal: one for all its epochs, below a line for each that has ended."""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import ExitStack, redirect_stderr, suppress
from typing import Any, TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile

from pipeline.declaration.settings import TrainerSettings
from pipeline.runs.leader import is_leader

FORMAT = "{desc}|{bar}| {percentage:.0f} %, {remaining} left"


def shows_bar(settings: TrainerSettings) -> bool:
    """Return whether a training shows a bar: on a terminal that it does not share with other workers of a launcher."""
    is_alone = is_leader() and multiprocessing.parent_process() is None
    return settings.progress and is_alone and sys.stderr.isatty()


class _Terminal:
    """The terminal of stderr, which once it is closed takes no text, and no longer raises: SIGHUP ends the run then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ProgressBar(Callback):
    """Show how far a training is, and the time that is left until its last epoch.

    What is written to stderr meanwhile appears above the bar, which leaves nothing behind.
    """

    def __init__(self) -> None:
        self._shown = ExitStack()
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Show the bar; the epochs of a resumed training count as done, but not in the time that an epoch takes."""
        assert trainer.max_epochs is not None
        steps = int(trainer.num_training_batches + sum(trainer.num_val_batches))
        terminal: Any = _Terminal(sys.stderr)
        self._bar = tqdm(
            desc=_place(trainer),
            total=trainer.max_epochs * steps,
            initial=trainer.current_epoch * steps,
            file=terminal,
            bar_format=FORMAT,
            dynamic_ncols=True,
            leave=False,
            smoothing=0,
        )
        self._shown.callback(self._bar.close)
        self._shown.enter_context(redirect_stderr(DummyTqdmFile(terminal)))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Show the number of the epoch, counted from 1."""
        assert self._bar is not None
        self._bar.set_description_str(_place(trainer))

    def on_train_batch_end(self, *_: Any) -> None:
        """Count a step."""
        self._advance()

    def on_validation_batch_end(self, *_: Any) -> None:
        """Count a batch of validation images, which takes time as well."""
        self._advance()

    def on_train_end(self, *_: Any) -> None:
        """Remove the bar."""
        self._shown.close()

    def on_exception(self, *_: Any) -> None:
        """Remove the bar before the error is reported."""
        self._shown.close()

    def _advance(self) -> None:
        assert self._bar is not None
        self._bar.update()


def _place(trainer: pl.Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
