"""Checkpoints of a run: written durably, verified before they are used, and replaced by the one before if damaged.

A run resumed from any of its checkpoints ends with the same results, since each epoch depends only on its number and
on the state after the epoch before it.
"""

from __future__ import annotations

import io
import sys
import zipfile
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from pipeline.errors import DamagedFileError
from pipeline.files import replacing
from pipeline.runs.folder import RunFolder
from pipeline.runs.leader import is_leader
from pipeline.training.divergence import HALVINGS, Halving

RUN = "convoy_run"  # key of the run's name in a checkpoint
SCRATCH = "training starts from scratch"
RETRY = "type the same command again, which uses another checkpoint"
LONGEST_REASON = 100  # characters of a library's message


class Checkpoints(Checkpoint):
    """Save a checkpoint of the last epoch, to resume from, and one of the best epoch.

    Lightning's ModelCheckpoint would be needed twice, runs hooks at every step, and loses its best score if the project
    is moved to another folder.

    Args:
        monitor: score that selects the best epoch; of equal ones, the one of the lower val/loss wins, then the first.
            An epoch whose score is not defined is passed over; until one has a score, the latest is kept.
        mode: `max` if a higher score is better, `min` if a lower one is.
    """

    def __init__(self, folder: RunFolder, *, monitor: str, mode: str) -> None:
        self.folder = folder
        self.monitor = monitor
        self.sign = {"max": 1, "min": -1}[mode]
        self.best: tuple[float, float] | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write the checkpoints; the best one first, since the last one refers to it."""
        score = self.sign * float(trainer.callback_metrics[self.monitor])
        found = score, -float(trainer.callback_metrics["val/loss"])
        if self.best is None or found > self.best:
            self.best = None if isnan(score) else found
            trainer.save_checkpoint(self.folder.best, weights_only=True)
        trainer.save_checkpoint(self.folder.last)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and its loss, both signed so that higher is better."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score so far."""
        self.best = state_dict["best"]


class DurableCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its target, flush it to the disk, then rename it; keep the one before the last.

    Lightning writes below $TMPDIR and copies from there if that is another disk, so that a kill leaves half a file.

    Args:
        folder: the folder of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, with the name of its run."""
        assert storage_options is None
        content = io.BytesIO()  # torch raises an error without a reason if it writes to a full disk itself
        torch.save({**checkpoint, RUN: self.folder.path.name}, content)
        self.folder.path.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as draft:
            draft.write_bytes(content.getbuffer())
            if Path(path) == self.folder.last and self.folder.last.exists():
                self.folder.last.replace(self.folder.previous)


@dataclass(frozen=True)
class ResumePoint:
    """An intact checkpoint to resume training from.

    Args:
        path: the checkpoint.
        history: the rows of the epochs trained so far.
        halvings: of the learning rate so far.
        patience_used: epochs that early stopping has waited for an improvement; None if it is off.
    """

    path: Path
    history: list[dict[str, float]]
    halvings: list[Halving]
    patience_used: int | None


def find_resume_point(folder: RunFolder, *, keep: str) -> ResumePoint | None:
    """Return the latest intact checkpoint of a run; None to train from scratch.

    Damaged checkpoints are named on stderr and renamed to `<name>.damaged`.

    Args:
        keep: `trainer.keep`; for `best`, the checkpoint of the best epoch must be intact as well.
    """
    for path, way_out in ((folder.last, f"training uses {folder.previous.name}"), (folder.previous, SCRATCH)):
        checkpoint = _read_intact(path, way_out) if path.exists() else None
        if checkpoint is not None:
            break
    else:
        return None
    if keep == "best" and _read_intact(folder.best, SCRATCH) is None:
        if is_leader():
            folder.last.unlink(missing_ok=True)
            folder.previous.unlink(missing_ok=True)
        return None
    waited = [state["wait_count"] for state in checkpoint["callbacks"].values() if "wait_count" in state]
    halvings = checkpoint.get(HALVINGS, [])
    return ResumePoint(path, checkpoint["history"], halvings, waited[0] if waited else None)


def adopt_checkpoints(folder: RunFolder, source: RunFolder) -> int:
    """Write the checkpoints of another run as those of a run that has none; return how many epochs they have.

    Raises:
        DamagedFileError: the other run's last checkpoint, or that of its best epoch, is missing or damaged.
    """
    writer, last = DurableCheckpointIO(folder), read_checkpoint(source.last)
    writer.save_checkpoint(read_checkpoint(source.best), folder.best)
    writer.save_checkpoint(last, folder.last)  # last, since training resumes where it exists
    return len(last["history"])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint whose contents equal the checksums in it, which torch does not compare.

    Raises:
        DamagedFileError: the file is missing or damaged, or belongs to another run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        loaded = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DamagedFileError(path, "is missing", hint=RETRY) from None
    except (OSError, MemoryError):  # the file may be intact
        raise
    except Exception as reason:  # zipfile, zlib and torch raise many kinds
        text = " ".join(str(reason).split())[:LONGEST_REASON]
        raise DamagedFileError(path, f"is damaged ({text})", hint=RETRY) from None
    if loaded is None:
        raise DamagedFileError(path, "is damaged (its contents differ from their checksum)", hint=RETRY)
    if not isinstance(loaded, dict) or loaded.get(RUN) != path.parent.name:
        raise DamagedFileError(path, "is not a checkpoint of this run", hint=RETRY)
    return loaded


def _read_intact(path: Path, way_out: str) -> dict[str, Any] | None:
    """Return a checkpoint; if it is damaged, say so and rename it, so that it does not replace an intact one."""
    try:
        return read_checkpoint(path)
    except DamagedFileError as damage:
        if is_leader():
            sys.stderr.write(f"{path}: {damage.problem}; {way_out}\n")
            if path.exists():
                path.replace(path.with_name(f"{path.name}.damaged"))
        return None
