"""U-Nets from classifiers: the levels of any network's list, nested into skips.

Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1; that a classifier's levels serve as the way down, Iglovikov
and Shvets 2018, arXiv:1801.05746.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.networks.grammar import Here, Part
from pipeline.networks.structures import sequence
from pipeline.plans.network import leaves_of, times

NOTHING = {"activation": "none"}  # holds the place of an auxiliary head


@dataclass
class _Level:
    """The items of a list that work at one resolution."""

    items: list[Any]
    channels: int
    sides: tuple[int, ...]
    weights: int = 0


def unet_on(layers: list[Any], here: Here) -> list[Any]:
    """Return the list of a U-Net whose way down is a classifier's list.

    Each level is a skip around the ones below it; the way up halves the channels by an up-convolution, then
    convolves twice, as in figure 1. What the classifier lists behind its last map (flatten, linear) is left out,
    and so are auxiliary heads and pools at the end.

    Args:
        here: where the network begins: its rules and the image.
    """
    here = here.at("encoder", Part("layers"))
    levels = _levels(layers, here)
    if len(levels) < 2:
        raise here.error("the list never makes the map smaller, so that there is nothing to nest")
    deepest = levels.pop()
    body, channels, sides = deepest.items, deepest.channels, deepest.sides
    for level in reversed(levels):
        if any(before % after for before, after in zip(level.sides, sides, strict=True)):
            raise here.error(
                f"the list turns {times(level.sides)} into {times(sides)}, which no up-convolution turns back; "
                "choose rows and columns of data.shape that every stride divides, and filters with padding same"
            )
        channels = max(1, channels // 2)
        rise = [before // after for before, after in zip(level.sides, sides, strict=True)]
        up = {"up": channels, "kernel": rise, "stride": rise, "width": 1}
        convolution = {"conv": channels, "width": 1}
        body = [*level.items, {"skip": [*body, up]}, convolution, convolution]
        sides = level.sides
    return body


def _levels(layers: list[Any], here: Here) -> list[_Level]:
    """Group the items of a list by the rows and columns that they put out, down to the last with weights."""
    nodes = sequence([NOTHING if _is_side(item) else item for item in layers], here.at("encoder.layers"))
    channels, *sides = here.map()
    levels = [_Level([], channels, tuple(sides))]
    for index, item in enumerate(layers):
        if _is_side(item):
            continue
        inside = [node for node in nodes if f"{node.where}.".startswith(f"encoder.layers[{index}].")]
        end = inside[-1]
        if len(end.shape) != 3:
            break
        if end.shape[1:] != levels[-1].sides:
            levels.append(_Level([], 0, end.shape[1:]))
        levels[-1].items.append(item)
        levels[-1].channels = end.shape[0]
        levels[-1].weights += sum(leaf.weights for leaf, _ in leaves_of(tuple(inside)))
    while len(levels) > 1 and not levels[-1].weights:
        levels.pop()
    return levels


def _is_side(item: Any) -> bool:
    return isinstance(item, Mapping) and next(iter(item), None) == "auxiliary"
