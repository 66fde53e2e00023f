"""Are outputs probabilities already? The loss turns outputs into probabilities itself; done twice, it learns slowly.

After a softmax, outputs lie between 0 and 1, so that a second one gives no class more than e / (e + K - 1).
Source: Karpathy 2018, "most common neural net mistakes": softmaxed outputs passed to a loss that expects raw ones.
"""

from __future__ import annotations

import torch

from pipeline.sanity.finding import FAULT, OK, START, Check, Finding
from pipeline.sanity.subject import Subject

TOLERANCE = 1e-4


@torch.no_grad()
def run(subject: Subject) -> Finding:
    """Look for outputs between 0 and 1 that the task turns into other probabilities."""
    outputs = subject.build().eval()(subject.probe["image"]).float()
    low, high = float(outputs.min()), float(outputs.max())
    numbers = {"low": low, "high": high}
    figure = f"outputs of the untrained network are between {low:.2g} and {high:.2g}"
    if low < 0 or high > 1 or low == high:
        return Finding(OK, figure, numbers=numbers)
    decoded = subject.task.decode(outputs)
    is_shaped = decoded.shape == outputs.shape
    is_kept = is_shaped and torch.allclose(decoded.float(), outputs, atol=TOLERANCE)
    sums = outputs.sum(dim=1)
    if outputs.shape[1] > 1 and not is_kept and torch.allclose(sums, torch.ones_like(sums), atol=TOLERANCE):
        advice = "the loss applies softmax itself: remove the softmax at the end of model.head"
        return Finding(FAULT, f"{figure}, and sum to 1: softmax is applied twice", advice, numbers)
    if is_shaped and not is_kept:
        advice = "the loss applies sigmoid itself: remove the sigmoid at the end of model.head"
        return Finding(FAULT, f"{figure}: sigmoid is applied twice", advice, numbers)
    return Finding(OK, figure, numbers=numbers)


CHECK = Check("outputs before softmax or sigmoid", START, run)
