"""What do layers put out, untrained and after a short training? Neither nothing, nor the same for every image.

Sources: He et al. 2015, arXiv:1502.01852, section 2.2, on deviations that neither vanish nor grow from layer to layer;
CS231n on units that are dead, and saturated ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isfinite

from pipeline.pictures.checks import draw_activations
from pipeline.sanity.finding import FAULT, LEARNING, OK, WARNING, Check, Finding
from pipeline.sanity.layers import Activity, measure_activity
from pipeline.sanity.subject import Subject

PICTURE = "activations.png"
MANY_SATURATED, MOST_SATURATED = 0.3, 0.6  # shares of the values of a layer
MANY_DEAD, MOST_DEAD = 0.5, 0.9  # shares of the units of a layer
APART = 1e3  # times the deviation of the first layer, or a share of it


def run(subject: Subject) -> Finding:
    """Find layers that are dead, saturated, or whose deviation vanishes or explodes."""
    start, trained = subject.at_start, measure_activity(subject, subject.short.model)
    stages: dict[str, Sequence[Activity]] = {
        "untrained": start,
        f"after {len(subject.short.losses)} steps": trained,
    }
    pictures = {PICTURE: partial(draw_activations, stages)}
    hidden = [(stage, each) for stage, layers in stages.items() for each in layers[:-1]]
    figure, numbers = _describe(start, trained)
    verdict, advice = OK, ""
    for when, each in hidden:
        found, problem = _judge(each, first=start[0])
        if found == FAULT or (found == WARNING and verdict == OK):
            verdict, advice = found, f"{each.where} ({each.name}), {when}: {problem}"
        if found == FAULT:
            break
    return Finding(verdict, figure, advice, numbers, pictures)


def _judge(layer: Activity, *, first: Activity) -> tuple[str, str]:
    if not isfinite(layer.deviation):
        return FAULT, "outputs are not finite; lower optimizer.lr or the deviation of init"
    if layer.dead > MANY_DEAD:
        text = f"{layer.dead:.0%} of the units put out the same for every image"
        advice = "lower optimizer.lr, or change init or activation there"
        return (FAULT if layer.dead > MOST_DEAD else WARNING), f"{text}; {advice}"
    if layer.saturated > MANY_SATURATED:
        text = f"{layer.saturated:.0%} of the values are saturated, where the slope of the activation is nearly 0"
        advice = "lower the deviation of init (lecun_normal or xavier), or use relu"
        return (FAULT if layer.saturated > MOST_SATURATED else WARNING), f"{text}; {advice}"
    ratio = layer.deviation / first.deviation if first.deviation else float("inf")
    if not 1 / APART < ratio < APART:
        text = f"the deviation is {layer.deviation:.2g}, that of the first layer {first.deviation:.2g}"
        return WARNING, f"{text}; choose init=he_normal for relu, lecun_normal for tanh, or add norms"
    return OK, ""


def _describe(start: Sequence[Activity], trained: Sequence[Activity]) -> tuple[str, dict[str, float]]:
    parts: list[str] = []
    numbers: dict[str, float] = {}
    for when, layers in (("untrained", start), ("trained", trained)):
        low, high = (pick(each.deviation for each in layers) for pick in (min, max))
        dead = max((each.dead for each in layers[:-1]), default=0.0)
        saturated = max((each.saturated for each in layers[:-1] if isfinite(each.saturated)), default=0.0)
        parts.append(
            f"{when}: deviations {low:.2g} to {high:.2g}, at most {dead:.0%} dead, {saturated:.0%} saturated"
        )
        numbers |= {
            f"{when}_deviation_low": low,
            f"{when}_deviation_high": high,
            f"{when}_dead": dead,
            f"{when}_saturated": saturated,
        }
    return "; ".join(parts), numbers


CHECK = Check("activations", LEARNING, run)
