"""Is the loss at the start what chance gives? ln K for a classifier of K classes.

Source: Karpathy 2019, "A recipe for training neural networks", "verify loss @ init"; CS231n, "Sanity checks". Chance is
the loss of outputs that are all 0, which say the same of every image: with softmax, each class is as probable.
"""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np
import torch

from pipeline.sanity.finding import FAULT, OK, START, WARNING, Check, Finding
from pipeline.sanity.short import per_image, set_training
from pipeline.sanity.subject import Subject

MOST_IMAGES = 64
HIGH, VERY_HIGH = 5.0, 20.0  # times chance
LOW = 0.5


@torch.no_grad()
def run(subject: Subject) -> Finding:
    """Compare the mean loss of the untrained model with the loss of outputs that are 0."""
    model, split = subject.build(), subject.plain
    batch = subject.batch(
        split, subject.spread(split, min(MOST_IMAGES, subject.most_looked_at)), sides=subject.sides
    )
    set_training(model, is_regularised=False)
    outputs = model(batch["image"]).float()
    if not outputs.isfinite().all():
        return Finding(FAULT, "outputs are not finite", "check model.init and preprocess")
    losses, chance = per_image(subject, outputs, batch), per_image(subject, torch.zeros_like(outputs), batch)
    found, expected = float(losses.mean()), float(chance.mean())
    error = float(losses.std(ddof=1) / sqrt(len(losses))) if len(losses) > 1 else np.nan
    distance = (found - expected) / error if error else np.nan
    figure = f"{found:.3g}; chance gives {expected:.3g}"
    figure += f", {distance:+.1f} standard errors away" if isfinite(distance) else ""
    numbers = {"loss": found, "chance": expected, "standard_errors": distance}
    if found > HIGH * expected:
        advice = (
            "the untrained network is sure of wrong answers: lower the deviation of model.init, or add norms"
        )
        return Finding(FAULT if found > VERY_HIGH * expected else WARNING, figure, advice, numbers)
    if (
        subject.demands.is_labelled
        and found < LOW * expected
        and subject.declaration.model["pretrained"] is None
    ):
        advice = "too good for an untrained network: is the label visible in the image?"
        return Finding(WARNING, figure, advice, numbers)
    return Finding(OK, figure, numbers=numbers)


CHECK = Check("loss at the start", START, run)
