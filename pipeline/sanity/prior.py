"""The prior: the best output that is the same for every image, which is all that a network can learn without input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.sanity.short import Outcome, judge

if TYPE_CHECKING:
    from pipeline.sanity.subject import Subject

STEPS = 100
RATE = 0.1  # of Adam, falling to 0
IMAGES = 200  # of the training split, evenly spread


def fit_prior(subject: Subject) -> Outcome:
    """Fit one output to the targets of training images, and score it on validation images."""
    outputs = subject.outcome.outputs
    split = subject.plain
    batch = subject.batch(split, subject.spread(split, IMAGES), sides=subject.sides)
    batch = {key: value.cpu() for key, value in batch.items()}
    prior = torch.zeros((1, *outputs.shape[1:]), requires_grad=True)
    optimizer = torch.optim.Adam([prior], lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        spread = prior.expand(len(batch["image"]), *outputs.shape[1:])
        subject.task.loss(spread, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return judge(subject, prior.detach().expand_as(outputs), subject.outcome.batch)
