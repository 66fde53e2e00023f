"""Do gradients reach every layer?

The first steps are taken before it is asked: layers that start at 0 on purpose, as the last one of a residual branch,
let gradients through once they have moved.
"""

from __future__ import annotations

from math import inf, isfinite

import numpy as np

from pipeline.sanity.finding import FAULT, OK, START, WARNING, Check, Finding
from pipeline.sanity.layers import Layer
from pipeline.sanity.short import total_loss, train_briefly
from pipeline.sanity.subject import Subject

STEPS = 3
RATE = 1e-3  # at which they are taken: what the declared rate does is another question
VANISHING = 1e-5  # of the median layer's gradient, relative to its weights


def run(subject: Subject) -> Finding:
    """Find layers whose weights get no gradient after a few steps, or hardly any."""
    layers, sizes = _measure(subject)
    pairs = list(zip(layers, sizes, strict=True))
    silent = [layer.where for layer, size in pairs if size == 0]
    broken = [layer.where for layer, size in pairs if not isfinite(size)]
    weak = [layer.where for layer, size in pairs if 0 < size < VANISHING * float(np.median(sizes))]
    numbers = {"layers": len(layers), "silent": len(silent), "weak": len(weak)}
    if broken:
        advice = "check preprocess and init, or set trainer.gradient_clip"
        return Finding(FAULT, f"not finite in {_listed(broken)}", advice, numbers)
    if silent:
        zero = [layer.where for layer in layers if not any(weight.any() for weight in layer.weights)]
        why = (
            f"the weights of {_listed(zero)} are 0, see its init" if zero else "see init and activation there"
        )
        figure = f"none in {_listed(silent)}, {len(silent)} of {len(layers)} layers"
        return Finding(FAULT, figure, f"these layers cannot learn: {why}", numbers)
    if weak:
        advice = "gradients vanish on their way: add norms or residuals, or use relu"
        return Finding(WARNING, f"hardly any in {_listed(weak)}", advice, numbers)
    return Finding(OK, f"they reach all {len(layers)} layers", numbers=numbers)


def _measure(subject: Subject) -> tuple[list[Layer], list[float]]:
    """Return the layers of a model after a few steps, and the size of their gradients relative to their weights."""
    model = subject.build()
    batches = list(subject.batches(subject.training, STEPS + 1))
    rate = None if subject.declaration.optimizer.get("lr") is None else RATE
    train_briefly(subject, model, batches[:-1], rate=rate)
    model.zero_grad()
    total_loss(subject, model, batches[-1]).backward()  # type: ignore[no-untyped-call]
    layers, sizes = subject.layers(model), []
    for layer in layers:
        gradient = sum(float(each.grad.square().sum()) for each in layer.weights if each.grad is not None)
        size = sum(float(each.detach().square().sum()) for each in layer.weights)
        sizes.append((gradient / size) ** 0.5 if size else (inf if gradient else 0.0))
    return layers, sizes


def _listed(places: list[str], most: int = 4) -> str:
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


CHECK = Check("gradients reach every layer", START, run)
