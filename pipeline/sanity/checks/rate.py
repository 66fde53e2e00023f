"""Where does the learning rate lie in the range at which the network learns? See `pipeline.sanity.rates`."""

from __future__ import annotations

from functools import partial
from math import nan

import numpy as np

from pipeline.pictures.checks import draw_range
from pipeline.sanity.finding import FAULT, OK, RATE, WARNING, Check, Finding, not_applicable
from pipeline.sanity.subject import Subject

PICTURE = "learning_rates.png"
ABOVE, FAR_ABOVE = (
    4.0,
    10.0,
)  # times the upper end: a rate that is chosen for good bears more than a rising one
FAR_BELOW = 0.1  # of the lower end
USUAL = 1e-3  # update of weights relative to their length: steps as long as that are not too short


def run(subject: Subject) -> Finding:
    """Say where `optimizer.lr` lies in the suggested range."""
    found = subject.range_test
    if found is None:
        return not_applicable("the optimizer has no learning rate")
    lr = float(subject.declaration.optimizer["lr"])
    draw = partial(
        draw_range, found.rates, found.losses, found.smoothed, low=found.low, high=found.high, declared=lr
    )
    pictures = {PICTURE: draw}
    if not found.has_range:
        figure = f"the loss falls at no rate from {found.rates[0]:.0e} to {found.rates[-1]:.1g}"
        advice = "the rate is not what is wrong: look at the other faults first"
        return Finding(FAULT, figure, advice, {"lr": lr}, pictures)
    figure = (
        f"optimizer.lr is {lr:.2g}; the loss falls from {found.low:.1e} on, and rises above {found.high:.1e}"
    )
    numbers = {"lr": lr, "low": found.low, "high": found.high}
    within = f"choose optimizer.lr between {found.low:.1e} and {found.high:.1e}"
    if lr > ABOVE * found.high:
        verdict = FAULT if lr > FAR_ABOVE * found.high else WARNING
        return Finding(verdict, figure, f"the rate is too high; {within}", numbers, pictures)
    update = float(np.median(list(subject.short.typical_updates().values()) or [nan]))
    if lr < found.low and not update >= USUAL:
        figure += f"; a step moves weights by {update:.1e} of their length"
        verdict = FAULT if lr < FAR_BELOW * found.low else WARNING
        return Finding(verdict, figure, f"the rate is too low; {within}", numbers, pictures)
    return Finding(OK, figure, numbers=numbers, pictures=pictures)


CHECK = Check("learning rate", RATE, run)
