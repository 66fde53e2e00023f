"""Have the classes of validation images the order of those of training images?

A short training predicts validation images; if another assignment of classes fits far better than the declared one,
classes were renamed or sorted otherwise. The best assignment is that of Kuhn 1955 (the Hungarian method).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest

from pipeline.sanity.finding import CONTROL, FAULT, OK, Check, Finding, not_applicable
from pipeline.sanity.subject import Subject

BETTER = 0.2  # share of images or pixels that another assignment gets right in addition
RARE = 1e-4  # probability that luck alone makes another assignment so much better, for each pair of classes
NAMED = 4


def run(subject: Subject) -> Finding:
    """Compare the share that is right with what the best assignment of classes would get right."""
    matrix = _confusion(subject)
    if matrix is None:
        return not_applicable("images or pixels do not have one class each")
    if not matrix.sum():
        return not_applicable("the outputs of a short training are not finite")
    rows, columns = linear_sum_assignment(-matrix)
    total, right, best = matrix.sum(), np.trace(matrix), matrix[rows, columns].sum()
    moved = [
        (int(a), int(b)) for a, b in zip(rows, columns, strict=True) if a != b and matrix[a, b] > matrix[a, a]
    ]
    figure = f"{right / total:.0%} right as declared, {best / total:.0%} with the best assignment of classes"
    numbers = {"right": right / total, "best": best / total}
    gained = sum(matrix[a, b] for a, b in moved)
    lost = sum(matrix[a, a] for a, _ in moved)
    is_luck = not gained or binomtest(int(gained), int(gained + lost)).pvalue > RARE / len(matrix) ** 2
    if (best - right) / total < BETTER or is_luck:
        return Finding(OK, figure, numbers=numbers)
    names = subject.declaration.data.classes
    pairs = ", ".join(f"{names[a]} is taken for {names[b]}" for a, b in moved[:NAMED])
    more = f" and {len(moved) - NAMED} more" if len(moved) > NAMED else ""
    return Finding(
        FAULT,
        f"{figure}: {pairs}{more}",
        "the classes of val have another order or other names than those of train: compare how both were labelled",
        numbers,
    )


def _confusion(subject: Subject) -> NDArray[Any] | None:
    """Return counts (K, K) of true and predicted classes of images or pixels; None if they do not have one each."""
    num_classes = len(subject.declaration.data.classes)
    if num_classes < 2:
        return None
    found = subject.outcome
    targets = found.batch["target"]
    decoded = subject.task.decode(found.outputs)
    if subject.demands.is_labelled:
        truth, predicted = targets, decoded.argmax(dim=1)
    elif decoded.shape == targets.shape and not torch.is_floating_point(decoded):
        truth, predicted = targets, decoded
    else:
        return None
    counted = truth.long() < num_classes  # others are ignored
    if not found.outputs.isfinite().all():
        return np.zeros((num_classes, num_classes))
    pairs = truth.long()[counted] * num_classes + predicted.long()[counted]
    return torch.bincount(pairs.flatten(), minlength=num_classes**2).reshape(num_classes, -1).numpy()


CHECK = Check("order of classes in val", CONTROL, run)
