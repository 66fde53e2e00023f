"""Predictions of one or more trained runs for images of any data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.degrade_facts import degraded_shape
from pipeline.errors import ConfigError
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Resolved
from pipeline.training.trained import Predictor, Trained

Array = NDArray[Any]


class Ensemble:
    """One or more runs whose outputs are averaged like those of views.

    Raises:
        ConfigError: the runs differ in task, classes, shape of images or shape of outputs.
    """

    def __init__(self, runs: Sequence[Trained]) -> None:
        first = runs[0]
        for run in runs[1:]:
            _check_same("tasks", run, _task(run), _task(first))
            if not load_demands(first.declaration.task).averages:
                _check_same("embeddings", run, run.folder.path.resolve(), first.folder.path.resolve())
            _check_same("classes", run, run.declaration.data.classes, first.declaration.data.classes)
            _check_same("shapes of images", run, run.declaration.data.shape, first.declaration.data.shape)
        self._predictors = [Predictor(run) for run in runs]
        channels, rows, columns = degraded_shape(first.declaration.data)
        blank = torch.zeros((1, channels, rows, columns), dtype=torch.uint8)
        shapes = [list(each.outputs(blank).shape[1:]) for each in self._predictors]
        for run, shape in zip(runs, shapes, strict=True):
            _check_same("shapes of outputs", run, shape, shapes[0])
        meanings = [
            each.task.meaning if isinstance(each.task, Resolved) else None for each in self._predictors
        ]
        for run, meaning in zip(runs, meanings, strict=True):
            _check_same("meanings of outputs", run, meaning, meanings[0])
        self.example: Array = self.predict([np.zeros((rows, columns, channels), dtype=np.uint8)])[0]

    @torch.inference_mode()
    def predict(self, images: Sequence[NDArray[np.uint8]]) -> Array:
        """Return the decoded predictions (N, ...) for images (H, W, C) of one size."""
        if not images:
            return np.empty(0)
        batch: Tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        first = self._predictors[0]
        outputs = [each.outputs(batch).to(first.device) for each in self._predictors]
        merged = first.task.merge(outputs, [False] * len(outputs))
        decoded: Array = first.task.decode(merged).cpu().numpy()
        return decoded

    def explain(self, images: Sequence[NDArray[np.uint8]], decoded: Array) -> Array:
        """Return the activation map of the most probable class of each image, (N, H, W) from 0 to 1."""
        if not images:
            return np.empty(0)
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        maps: Array = (
            self._predictors[0].activation_maps(batch, torch.from_numpy(decoded.argmax(axis=1))).numpy()
        )
        return maps

    def check_maps(self, num_classes: int) -> None:
        """Check that there are activation maps of classes.

        Raises:
            ConfigError: it is an ensemble, or none of a classifier with maps.
        """
        if len(self._predictors) > 1:
            problem = "maps of different networks are not averaged"
            raise ConfigError("explain", problem, got="cam", hint="leave out ensemble, or explain")
        if not self._predictors[0].explains or self.example.shape != (num_classes,):
            problem = "activation maps are for classifiers with convolutions"
            raise ConfigError("explain", problem, got="cam", hint="leave it out")


def _task(run: Trained) -> str:
    return str(run.declaration.task["_target_"])


def _check_same(what: str, run: Trained, found: object, first: object) -> None:
    if found != first:
        raise ConfigError(
            "ensemble",
            f"{run.folder.path} and the first run have different {what}: {found} and {first}",
            hint="average runs of one task on images of one shape",
        )
