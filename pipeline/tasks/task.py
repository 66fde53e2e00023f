"""What a task is to the learner, to evaluation and to the report.

A task turns each image into *evidence*: all that any score needs of it. Every score is a function of the evidence of
some images; so validation, test, bootstrap intervals and distributed runs share one definition of each score. Shapes:
N images; outputs are what the network puts out for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Batch = Mapping[
    str, Tensor
]  # image, target, index; of mixed images also partner and weight, see pipeline.data.batches
Evidence = NDArray[np.float64]  # (N, ...): one row per image


class Task(Protocol):
    """Loss, evidence and scores of a task; its `demands` module says what it needs."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of a batch, a scalar."""
        ...

    def evidence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (N, ...): one row per image, all that any score needs of it."""
        ...

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return each score by name for the evidence of some images; NaN where it is not defined."""
        ...

    def merge(self, outputs: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
        """Return the outputs for images from those for several views of them.

        Args:
            outputs: of each view.
            mirrored: whether a view showed the images mirrored left to right.
        """
        ...

    def decode(self, outputs: Tensor) -> Tensor:
        """Return what a user asks of the outputs: (N, ...), such as probabilities or a mask."""
        ...


class Decoded(nn.Module):
    """A model that puts out what a user asks for, decoding included: what is exported.

    Args:
        model: maps uint8 images (N, C, H, W) to outputs.
        task: decodes them.
    """

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self._decode = task.decode

    def forward(self, image: Tensor) -> Tensor:
        """Return the decoded outputs for images (N, C, H, W)."""
        return self._decode(self.model(image))


def mixed_loss(loss: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
    """Return the loss of a batch; of mixed images that for their target and that for their partner, by weight.

    Args:
        loss: targets -> mean loss.
    """
    own = loss(batch["target"])
    if "partner" not in batch:
        return own
    return batch["weight"] * own + (1 - batch["weight"]) * loss(batch["partner"])


def mean_of_softmax(outputs: Sequence[Tensor]) -> Tensor:
    """Return outputs whose softmax over axis 1 is the mean of the softmax of each view's.

    Those of a single view stay as they are. Source: Krizhevsky et al. 2012, section 4.1.
    """
    if len(outputs) == 1:
        return outputs[0]
    return torch.stack([each.float().softmax(dim=1) for each in outputs]).mean(dim=0).log()
