"""The interface of a task, used by the learner, evaluation and the report.

A task reduces each image to *evidence*: a row of numbers from which all scores can be computed. Every score is a
function of the evidence of a set of images, so validation, test, bootstrap intervals and distributed runs share one
definition of each score.
Shapes: N images; outputs are those of the network for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.tasks.weights import Weights, list_weights

Batch = Mapping[
    str, Tensor
]  # image, target, index; also partner and weight if images are mixed, see pipeline.data.batches
Evidence = NDArray[np.float64]  # (N, ...): one row per image


@runtime_checkable
class Task(Protocol):
    """Loss, evidence and scores of a task; its requirements are in its module `demands`."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of a batch, a scalar."""
        ...

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, ...): one row per image, from which all scores can be computed."""
        ...

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return score name -> value for the evidence of a set of images; NaN if undefined."""
        ...

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Combine the outputs of several views of the same images.

        Args:
            outputs: the outputs for each view.
            mirrored: whether the images were mirrored left to right, for each view.
        """
        ...

    def decode(self, outputs: Tensor) -> Tensor:
        """Return predictions (N, ...), such as probabilities or a mask."""
        ...


@runtime_checkable
class Remarking(Protocol):
    """A task that has more to say of a set of images than its scores."""

    def remarks(self, evidence: Evidence) -> list[str]:
        """Return sentences on what is left out of scores, with counts; none if nothing is."""
        ...


@runtime_checkable
class WeightedLoss(Protocol):
    """A task whose loss may be a mean over something else than the images of a batch; optional."""

    def loss_weight(self, outputs: Tensor, batch: Batch) -> Tensor | None:
        """Return the sum of the weights that the loss of a batch was divided by, a scalar; None for its images."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """A task that watches a training by more than its loss; optional."""

    def measures(self, outputs: Tensor, batch: Batch) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Return name -> mean over a training batch, and what it weighs in that of an epoch, `train/<name>`."""
        ...

    def alarms(self, row: Mapping[str, float]) -> list[str]:
        """Return sentences on what goes wrong, by the row of an epoch in the history; none if nothing does."""
        ...


@dataclass(frozen=True)
class Settled:
    """What is decided once a network is trained.

    Args:
        settings: of the section `task`, instead of the declared ones.
        alarms: sentences on what is wrong with that decision.
    """

    settings: Mapping[str, Any]
    alarms: Sequence[str] = field(default_factory=list)


@runtime_checkable
class Settling(Protocol):
    """A task that decides settings once the network is trained, such as a threshold; optional.

    It is built with them to evaluate, predict and export. If it is a module, its parameters are trained with those of
    the network, and among these settings.
    """

    def settled(self, evidence: Evidence) -> Settled:
        """Return what the validation images decide, by their evidence of the kept epoch."""
        ...


@runtime_checkable
class Comparing(Protocol):
    """A task whose predictions are not compared number by number, such as boxes, which may change places."""

    def difference(self, predictions: NDArray[Any], expected: NDArray[Any]) -> float:
        """Return how far predictions (N, ...) are from the expected ones, on the scale of probabilities."""
        ...


@runtime_checkable
class Relative(Protocol):
    """A task that predicts places in shares of the image, and tells them in pixels of images of its sides."""

    sides: tuple[int, int]


@runtime_checkable
class Resampled(Protocol):
    """A task that scores samples of the same images in less time than by their evidence; optional."""

    def resampled(self, evidence: Evidence) -> Callable[[NDArray[np.intp]], dict[str, float]]:
        """Return a function that maps indices of images, which may repeat, to what `scores` returns for these."""
        ...


@runtime_checkable
class Loading(Protocol):
    """A task that needs more than its settings for losses and scores, though not to predict; optional."""

    def load(self) -> None:
        """Load it, unless it is; raise `ConfigError` if it cannot be used."""
        ...


@runtime_checkable
class Framed(Protocol):
    """A task that shows how its outputs change in training, and the last beside what they are made of; optional."""

    frame_every: int  # epochs

    def decode(self, outputs: Tensor) -> Tensor:
        """Return images (N, H, W, C) uint8."""
        ...

    def draw_result(self, outputs: Tensor, batch: Batch, path: Path) -> None:
        """Draw the outputs for a batch of validation images."""
        ...


@runtime_checkable
class DrawsTraining(Protocol):
    """A task that draws how it fits the training split, for the preview and the report; optional."""

    def draw_training(self, targets: NDArray[Any], folder: Path) -> list[Path]:
        """Draw it for targets (N, ...), as their kind stores them; return the files."""
        ...


@runtime_checkable
class Resolved(Protocol):
    """A task whose outputs mean what the training split decided, such as anchors."""

    meaning: object


@runtime_checkable
class ConstantGuess(Protocol):
    """A task whose scores can be compared with those of always guessing one class; optional."""

    def constant(self, targets: NDArray[Any], index: int) -> Evidence:
        """Return the evidence of predicting the class `index` for each target (N, ...), as their kind stores them."""
        ...


@runtime_checkable
class FittedGuess(Protocol):
    """A task whose scores can be compared with those of one guess made of the training targets; optional."""

    guess_name: str

    def guess(self, training: NDArray[Any], targets: NDArray[Any]) -> Evidence:
        """Return the evidence of that guess for each target (N, ...), given those of the training split."""
        ...


class Decoded(nn.Module):
    """A model followed by the decoding of its outputs to predictions, for export.

    Args:
        model: maps uint8 images (N, C, H, W) to outputs.
        task: decodes the outputs.
    """

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self._decode = task.decode

    def forward(self, image: Tensor) -> Tensor:
        """Return the decoded outputs for images (N, C, H, W)."""
        return self._decode(self.model(image))


class ClassWeights:
    """The weights of classes in a loss, on whatever device it is computed.

    Args:
        setting: `task.class_weights`; balanced weights must be resolved before they are used.
        classes: names of the K classes.
    """

    def __init__(self, setting: Weights, classes: Sequence[str]) -> None:
        self._setting = setting
        self._classes = list(classes)
        self._weights: Tensor | None = None

    def on(self, device: torch.device) -> Tensor | None:
        """Return the weights (K,); None if all classes weigh the same."""
        if self._weights is None:
            weights = list_weights(self._setting, self._classes)
            if weights is None:
                return None
            self._weights = torch.tensor(weights)
        self._weights = self._weights.to(device)
        return self._weights


def mixed_loss(loss: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
    """Return the loss of a batch, or its sum of weights; for mixed images, the weighted mean of both targets'.

    Args:
        loss: maps targets to the mean loss, or to the sum of their weights.
    """
    own = loss(batch["target"])
    if "partner" not in batch:
        return own
    return batch["weight"] * own + (1 - batch["weight"]) * loss(batch["partner"])


def mean_of_softmax(outputs: Sequence[Tensor]) -> Tensor:
    """Return outputs whose softmax over axis 1 is the mean of the softmax over the views.

    The outputs of a single view are returned unchanged. Source: Krizhevsky et al. 2012, section 4.1.
    """
    if len(outputs) == 1:
        return outputs[0]
    return torch.stack([each.float().softmax(dim=1) for each in outputs]).mean(dim=0).log()
