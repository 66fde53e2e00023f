"""Frames: what a network puts out for the first validation image, kept every so many epochs, and drawn at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from pipeline.data.batches import PreparedSplit
from pipeline.files import replacing
from pipeline.pictures.sheets import draw_sheet
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tasks.task import Framed, Task

MOST_SHOWN = 8  # frames on the sheet of all
MOST_RESULTS = 4  # validation images whose outputs are drawn at the end


class Frames(Callback):
    """Keep what the network puts out for the first validation image.

    Args:
        task: decodes outputs to images (N, H, W, C) uint8.
        split: of validation.
        every: epochs from one frame to the next.
        folder: that frames are written to.
    """

    def __init__(self, task: Task, split: PreparedSplit, every: int, folder: Path) -> None:
        self._task, self._split, self._every, self._folder = task, split, every, folder

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the frame of an epoch; the network is in evaluation here."""
        epoch = trainer.current_epoch + 1
        if not trainer.is_global_zero or epoch % self._every:
            return
        outputs = pl_module(self._split[0, [0]]["image"].to(pl_module.device))
        _write(self._task.decode(outputs)[0].cpu().numpy(), self._folder / f"epoch_{epoch:05d}.png")


def make_frames(
    task: Task, split: PreparedSplit, folder: RunFolder, observer: TrainingObserver
) -> list[Callback]:
    """Return what keeps frames in training; nothing if the task has none, or nothing but scores is recorded."""
    if not isinstance(task, Framed) or not observer.log_artifacts:
        return []
    return [Frames(task, split, task.frame_every, folder.frames)]


def frame_steps(
    task: Task, model: nn.Module, split: PreparedSplit, folder: RunFolder
) -> Mapping[str, Callable[[], object]]:
    """Return the step that draws frames and results of a trained run; none if the task has none."""
    if not isinstance(task, Framed):
        return {}
    return {"its outputs cannot be drawn": partial(_draw, task, model, split, folder)}


@torch.inference_mode()
def _draw(task: Framed, model: nn.Module, split: PreparedSplit, folder: RunFolder) -> None:
    """Draw frames side by side, and what the kept epoch puts out for the first validation images."""
    pictures = folder.path / "pictures"
    batch = split[0, list(range(min(MOST_RESULTS, len(split))))]
    outputs = model(batch["image"])
    _write(task.decode(outputs)[0].numpy(), folder.kept_frame)
    task.draw_result(outputs, cast(Mapping[str, Tensor], batch), pictures / "outputs.png")
    files = sorted(folder.frames.glob("epoch_*.png"))
    if files:
        places = np.unique(np.linspace(0, len(files) - 1, MOST_SHOWN).round().astype(int))
        shown = [files[place] for place in places]
        frames = [np.atleast_3d(np.asarray(Image.open(file))) for file in shown]
        captions = [f"epoch {int(file.stem.removeprefix('epoch_'))}" for file in shown]
        draw_sheet(frames, pictures / "frames.png", captions=captions, columns=4)


def _write(pixels: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(draft, "PNG")
