"""What a task is to the learner, to evaluation and to the report.

A task never keeps predictions. It turns each sample into a row of numbers, its *evidence*, and every score
is a function of such rows; so validation, test, bootstrap intervals and distributed runs share one
definition of each score.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Evidence = NDArray[np.float64]


class Task(Protocol):
    """Loss, evidence and scores of a task.

    Args:
        score: name of the score that picks the best epoch; up is better.
    """

    score: str

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar."""
        ...

    def evidence(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return (N, E): one row per sample, all that any score needs of it."""
        ...

    def scores(self, evidence: Evidence) -> dict[str, float]:
        """Return each score by name for rows of evidence (N, E); NaN where it is not defined."""
        ...
