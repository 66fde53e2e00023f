"""Can the network learn a few images by heart? If not, it cannot learn many either.

Source: Karpathy 2019, "A recipe for training neural networks", "overfit one batch"; CS231n, "Overfit a tiny subset".
"""

from __future__ import annotations

from math import isnan

import torch

from pipeline.sanity.finding import FAULT, LEARNING, OK, WARNING, Check, Finding
from pipeline.sanity.short import Outcome, ShortTraining, per_image, score, set_training, train_briefly
from pipeline.sanity.subject import Subject

IMAGES = 20
STEPS = 300
EVERY = 10  # steps after which is looked
CROP = 5e6  # multiply-adds of an image; larger ones are cropped
MOST = 1.5e12  # multiply-adds in all, which larger networks take with fewer images
LEARNT = 0.98  # of a score from 0 to 1
REMAINING = 0.1  # of the loss that chance gives, where the score has no such bounds
NEARLY = 0.9
FASTER = 3.0  # times the declared rate, as all images are in each step, and there is nothing to generalise


def run(subject: Subject) -> Finding:
    """Train on few images, with no augmentation, mixing, weight decay and dropout, until all are right."""
    sides = subject.find_sides(CROP)
    count = max(2, min(IMAGES, int(MOST / (3 * STEPS * subject.multiply_adds(sides)))))
    model, split = subject.build(), subject.plain
    batch = subject.batch(split, subject.spread(split, count), sides=sides)
    outcomes = [score(subject, model, batch)]
    zeros = torch.zeros_like(outcomes[0].outputs)
    chance = float(per_image(subject, zeros, outcomes[0].batch).mean())

    def stops(found: ShortTraining) -> bool:
        if len(found.losses) % EVERY:
            return False
        outcomes.append(score(subject, model, batch))
        set_training(model, is_regularised=False)
        return _progress(subject, outcomes[-1], chance) >= 1

    rate = _rate(subject)
    falling = None if rate is None else lambda step: rate * (1 - step / STEPS)
    trained = train_briefly(subject, model, [batch] * STEPS, rate=falling, is_regularised=False, stops=stops)
    last, num_images = outcomes[-1], len(batch["image"])
    what = f"{num_images} images" if sides is None else f"{num_images} crops of {sides[0]} x {sides[1]}"
    figure = (
        f"{subject.title} {last.score:.3f} on {what} after {len(trained.losses)} steps, loss {last.loss:.2g}"
    )
    numbers = {"score": last.score, "loss": last.loss, "steps": len(trained.losses), "images": num_images}
    progress = _progress(subject, last, chance)
    if progress >= 1 and not trained.has_diverged:
        return Finding(OK, figure, numbers=numbers)
    advice = "what cannot be learnt by heart cannot be learnt: look at the other faults, at labels and at the network"
    return Finding(WARNING if progress >= NEARLY else FAULT, figure, advice, numbers)


def _progress(subject: Subject, outcome: Outcome, chance: float) -> float:
    """Return how much is learnt, 1 if it is all."""
    name = subject.selection.score
    if subject.demands.bounds_of(name) == (0.0, 1.0) and subject.selection.mode == "max":
        return 0.0 if isnan(outcome.score) else outcome.score / LEARNT
    return 0.0 if isnan(outcome.loss) else REMAINING * chance / max(outcome.loss, 1e-12)


def _rate(subject: Subject) -> float | None:
    """Return a learning rate at which the network learns, near the declared one; None if the optimizer has none."""
    found = subject.range_test
    if found is None:
        return None
    lr = FASTER * float(subject.declaration.optimizer["lr"])
    return min(max(lr, found.low), found.high) if found.has_range else lr


CHECK = Check("a few images learnt by heart", LEARNING, run)
