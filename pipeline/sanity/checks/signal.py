"""Does the network use its images? With the input off, it can only say the same of each: the prior.

A network that sees images of zeros puts out the same for all; the best such output is fitted to the training targets.
The outputs for validation images are also given to other images, again and again: where they were learnt from the
images, the loss rises (a permutation test, Fisher 1935).
Source: Karpathy 2019, "A recipe for training neural networks", "input-independent baseline".
"""

from __future__ import annotations

from math import isnan

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.sanity.finding import CONTROL, FAULT, OK, WARNING, Check, Finding
from pipeline.sanity.short import Outcome
from pipeline.sanity.subject import Subject

PERMUTATIONS = 20
APART = 3.0  # deviations of the loss over permutations


def run(subject: Subject) -> Finding:
    """Compare a short training with the prior, and with its own outputs given to other images."""
    found, prior = subject.outcome, subject.prior
    if isnan(found.loss):
        return Finding(FAULT, "the outputs of a short training are not finite", "lower optimizer.lr")
    others = _permuted_losses(subject, found)
    deviation = float(others.std(ddof=1))
    gain = float(others.mean()) - found.loss
    distance = gain / deviation if deviation else (0.0 if gain <= 0 else float("inf"))
    figure = f"{subject.title} {found.score:.3f} on validation images after {len(subject.short.losses)} steps"
    figure += f"; the input off {prior.score:.3f}; outputs of other images raise the loss by {gain:.2g}"
    numbers = {"score": found.score, "prior": prior.score, "gain": gain, "deviations": distance}
    if distance < APART:
        advice = (
            "what is learnt from training images says nothing of validation images: are labels shuffled, "
            "or does the network not see its input?"
        )
        return Finding(FAULT, figure, advice, numbers)
    sign = 1 if subject.selection.mode == "max" else -1
    if sign * found.score <= sign * prior.score:
        advice = "the score does not beat the prior yet: see whether it does after an epoch"
        return Finding(WARNING, figure, advice, numbers)
    return Finding(OK, figure, numbers=numbers)


def _permuted_losses(subject: Subject, found: Outcome) -> NDArray[np.float64]:
    """Return the loss where each output is given to another image, at random."""
    random = np.random.default_rng(subject.declaration.seed)
    orders = [torch.from_numpy(random.permutation(len(found.outputs))) for _ in range(PERMUTATIONS)]
    return np.array([float(subject.task.loss(found.outputs[order], found.batch)) for order in orders])


CHECK = Check("the input matters", CONTROL, run)
