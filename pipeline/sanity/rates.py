"""The range test of the learning rate: at which rates a short training learns, and from which on it diverges.

Source: Smith 2017, "Cyclical learning rates for training neural networks", arXiv:1506.01186, section 3.3: the rate
rises from step to step, and the loss is drawn over it. Unlike the paper, it rises by a factor instead of linearly, so
that nothing has to be known of it beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import TYPE_CHECKING

import numpy as np

from pipeline.sanity.short import train_briefly

if TYPE_CHECKING:
    from pipeline.sanity.subject import Subject

LOWEST, HIGHEST = 1e-6, 10.0
STEPS = 1.4  # of those of a short training
SMOOTHING = 0.8  # of the losses, weight of the mean so far
EXPLODED = 3.0  # times the loss at the start, from which on nothing more is learnt
BEGUN = 0.15  # share of the whole fall of the loss, at which it has begun to fall
NOISES = 4.0  # deviations of the loss between steps that a fall must exceed to be one


@dataclass(frozen=True)
class RangeTest:
    """The losses of a training whose learning rate rises from step to step.

    Args:
        rates: of each step.
        losses: of each step, before it is taken.
        smoothed: the same as running means.
        low: the lowest rate at which the loss falls within few steps; NaN if it does at none.
        high: the highest rate before it rises again; NaN if it falls at none.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    low: float
    high: float

    @property
    def has_range(self) -> bool:
        """Whether the loss falls at any rate."""
        return isfinite(self.low)

    @property
    def middle(self) -> float:
        """The geometric mean of the range."""
        return float(np.sqrt(self.low * self.high))


def test_range(subject: Subject) -> RangeTest:
    """Train with a rate that rises until the loss explodes."""
    num_steps = round(STEPS * subject.num_steps)
    factor = (HIGHEST / LOWEST) ** (1 / (num_steps - 1))
    rates = [LOWEST * factor**step for step in range(num_steps)]
    trained = train_briefly(
        subject,
        subject.build(),
        subject.batches(subject.training, num_steps),
        rate=lambda step: rates[step],
        stops=lambda found: found.losses[-1] > EXPLODED * found.losses[0],
    )
    losses = [each if isfinite(each) else inf for each in trained.losses]
    return suggest_range(rates[: len(losses)], losses)


def suggest_range(rates: list[float], losses: list[float]) -> RangeTest:
    """Return the range of rates at which losses fall."""
    smoothed = _smooth(losses)
    quiet = max(len(losses) // 5, 2)  # steps whose rate is so low that nothing is learnt
    start = float(np.mean(losses[:quiet]))
    if len(losses) <= quiet or not isfinite(start):
        return RangeTest(rates, losses, smoothed, nan, nan)
    best = quiet + int(np.argmin(smoothed[quiet:]))
    fall, noise = start - smoothed[best], float(np.std(losses[:quiet]))
    if fall <= NOISES * noise * np.sqrt(1 - SMOOTHING):
        return RangeTest(rates, losses, smoothed, nan, nan)
    begun = next(index for index in range(quiet, best + 1) if smoothed[index] <= start - BEGUN * fall)
    return RangeTest(rates, losses, smoothed, rates[begun], rates[best])


def _smooth(losses: list[float]) -> list[float]:
    """Return exponential running means, corrected for their start."""
    mean, found = 0.0, []
    for index, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**index))
    return found
