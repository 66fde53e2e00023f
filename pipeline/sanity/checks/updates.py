"""How far does a step move the weights of a layer, relative to their length? About 1e-3.

Source: CS231n, "Babysitting the learning process", "Ratio of weights:updates".
"""

from __future__ import annotations

import numpy as np

from pipeline.sanity.finding import FAULT, LEARNING, OK, WARNING, Check, Finding
from pipeline.sanity.subject import Subject

LOW, HIGH = 1e-4, 1e-1
VERY_LOW, VERY_HIGH = 1e-6, 1.0


def run(subject: Subject) -> Finding:
    """Compare the median over the last steps of a short training, layer by layer, with 1e-3."""
    if subject.short.has_diverged:
        return Finding(
            FAULT, f"the loss is not finite after {len(subject.short.losses)} steps", "lower optimizer.lr"
        )
    ratios = subject.short.typical_updates()
    if not ratios:
        return Finding(FAULT, "no layer has weights other than 0", "see its init")
    middle, low, high = (float(pick(list(ratios.values()))) for pick in (np.median, min, max))
    figure = f"{middle:.1e} in the median layer, {low:.1e} to {high:.1e}; about 1e-3 is usual"
    numbers = {"median": middle, "low": low, "high": high}
    if middle < LOW:
        advice = f"steps are short: raise optimizer.lr by a factor of {1e-3 / max(middle, 1e-12):.0f}"
        return Finding(FAULT if middle < VERY_LOW else WARNING, figure, advice, numbers)
    if middle > HIGH:
        advice = f"steps are long: lower optimizer.lr by a factor of {middle / 1e-3:.0f}"
        return Finding(FAULT if middle > VERY_HIGH else WARNING, figure, advice, numbers)
    return Finding(OK, figure, numbers=numbers)


CHECK = Check("update of weights", LEARNING, run)
