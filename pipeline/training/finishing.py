"""What follows a training: figures, logs, the logged model. Its failure loses nothing that was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
import PIL
import torch

from pipeline.data.module import PreparedData
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import sees_whole
from pipeline.errors import ConfigError, StorageError, explain
from pipeline.pictures.curves import draw_curves
from pipeline.runs.folder import WATCHED, RunFolder
from pipeline.tasks.task import Decoded
from pipeline.tracking.run import TrackedRun
from pipeline.training.description import describe
from pipeline.training.export import EXAMPLES, export

AGAIN = "type the same command again, which trains nothing and completes what is missing"


class UnfinishedRunError(ConfigError):
    """A run is trained and its results are written, but something after that failed.

    Args:
        folder: of the run.
        failures: what failed, such as `the learning curves cannot be drawn`, and why.
    """

    def __init__(self, folder: RunFolder, failures: Mapping[str, Exception]) -> None:
        told = [f"{problem} ({explain(reason)})" for problem, reason in failures.items()]
        behind = [StorageError.behind(reason) for reason in failures.values()]
        first = next((f"{each.hint.partition(',')[0]}, then " for each in behind if each is not None), "")
        super().__init__(
            f"runs/{folder.path.name}",
            f"it is trained and its results are written, but {' and '.join(told)}",
            hint=first + AGAIN,
        )


def complete(folder: RunFolder, steps: Mapping[str, Callable[[], object]]) -> None:
    """Take the steps that follow a training, each whether or not others fail.

    Args:
        steps: what a failure of the step means, such as `the learning curves cannot be drawn`, and the step.

    Raises:
        UnfinishedRunError: some failed; the state of the run names them.
    """
    failures: dict[str, Exception] = {}
    for problem, step in steps.items():
        try:
            step()
        except Exception as reason:  # any library may fail, in any way
            failures[problem] = reason
    if failures:
        error = UnfinishedRunError(folder, failures)
        with suppress(OSError):  # the disk may be what is full
            folder.update(state="trained", failure=error.problem)
        raise error from next(iter(failures.values()))


def log_results(
    declaration: Declaration, folder: RunFolder, model: Decoded, data: PreparedData, tracked: TrackedRun
) -> Mapping[str, Callable[[], object]]:
    """Return the steps that draw the figures of a trained run, and log them and the exported model."""
    pictures = folder.path / "pictures"

    def draw() -> None:
        kept = int(folder.metrics()["epoch"])
        draw_curves(folder.history(), pictures / "learning_curves.png", kept=kept)

    def log_files() -> None:
        tracked.log_files(pictures, "pictures")
        tracked.log_files(folder.path / "statistics", "statistics")
        tracked.log_files(folder.path / WATCHED)

    def log_model() -> None:
        if declaration.tracking.log_model and not folder.state().get("is_model_logged"):
            _log_model(declaration, folder, model, data, tracked)
            folder.update(is_model_logged=True)

    return {
        "the learning curves cannot be drawn": draw,
        "the pictures cannot be logged": log_files,
        "the model cannot be logged": log_model,
    }


def _log_model(
    declaration: Declaration, folder: RunFolder, model: Decoded, data: PreparedData, tracked: TrackedRun
) -> None:
    examples = data.val[0, [0, -1][:EXAMPLES]]["image"].contiguous().numpy()
    exported, outputs = export(model, torch.from_numpy(examples))
    about = describe(declaration, folder.result(), folder.state(), layout="NCHW")
    channels, *sides = declaration.input_shape
    free = [None, None] if sees_whole(declaration) else sides
    tracked.log_model(
        exported,
        example=examples,
        outputs=outputs,
        about=about | {"input": ["N", *free, channels]},
        requirements=[
            f"torch=={torch.__version__.split('+')[0]}",
            f"numpy=={np.__version__}",
            f"pillow=={PIL.__version__}",
        ],
    )
