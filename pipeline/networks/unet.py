"""Networks on classifiers: the levels of any network's list, nested into the skips of a U-Net or cut off at a stride.

Sources: Ronneberger et al. 2015, arXiv:1505.04597, figure 1; a classifier as the encoder, Iglovikov and Shvets 2018,
arXiv:1801.05746.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.networks.grammar import PlanContext
from pipeline.networks.structures import sequence
from pipeline.plans.network import iterate_leaves, times

NOTHING = {"activation": "none"}  # replaces an auxiliary head, so that indices stay


@dataclass
class _Level:
    """The items of a list at one resolution."""

    items: list[Any]
    channels: int
    sides: tuple[int, ...]
    weights: int = 0


def unet_on(layers: list[Any], context: PlanContext) -> list[Any]:
    """Return the list of a U-Net whose encoder is a classifier's list.

    Each level is a skip around the ones below it; on the way up, an up-convolution halves the channels, then two
    convolutions follow, as in figure 1. The classifier's layers after its last map (flatten, linear) are left out, and
    so are auxiliary heads and pools at the end.

    Args:
        context: the settings of the network, with the image as input.
    """
    context = context.at("encoder.layers")
    levels = _levels(layers, context)
    if len(levels) < 2:
        hint = "choose one with strides or pools"
        raise context.error("the encoder never downsamples, so a U-Net on it has no levels", hint=hint)
    deepest = levels.pop()
    body, channels, sides = deepest.items, deepest.channels, deepest.sides
    for level in reversed(levels):
        if any(before % after for before, after in zip(level.sides, sides, strict=True)):
            problem = f"the encoder does not downsample {times(level.sides)} by a whole factor"
            hint = "choose rows and columns of data.shape that every stride divides, and filters with padding same"
            raise context.error(problem, sides, hint)
        channels = max(1, channels // 2)
        rise = [before // after for before, after in zip(level.sides, sides, strict=True)]
        up = {"up": channels, "kernel": rise, "stride": rise, "width": 1}
        convolution = {"conv": channels, "width": 1}
        body = [*level.items, {"skip": [*body, up]}, convolution, convolution]
        sides = level.sides
    return body


def levels_to(layers: list[Any], stride: Any, context: PlanContext) -> list[Any]:
    """Return the part of a classifier's list whose map has a cell for each `stride` x `stride` pixels of the image.

    Args:
        context: the settings of the network, with the image as input.
    """
    wanted = context.at("stride").whole("stride", stride)
    levels, sides = _levels(layers, context.at("encoder.layers")), context.map()[1:]
    found = [level.sides for level in levels]
    grid = (sides[0] // wanted, sides[1] // wanted)
    if grid not in found:
        hint = f"choose another stride, so that this is one of its maps: {', '.join(map(times, found))}"
        raise context.at("stride").error(f"the encoder has no map of {times(grid)}", wanted, hint)
    return [item for level in levels[: found.index(grid) + 1] for item in level.items]


def _levels(layers: list[Any], context: PlanContext) -> list[_Level]:
    """Group the items of a list by the rows and columns of their output, down to the last level with weights."""
    nodes = sequence([NOTHING if is_side(item) else item for item in layers], context)
    channels, *sides = context.map()
    levels = [_Level([], channels, tuple(sides))]
    for index, item in enumerate(layers):
        if is_side(item):
            continue
        inside = [node for node in nodes if f"{node.where}.".startswith(f"encoder.layers[{index}].")]
        end = inside[-1]
        if len(end.shape) != 3:
            break
        if end.shape[1:] != levels[-1].sides:
            levels.append(_Level([], 0, end.shape[1:]))
        levels[-1].items.append(item)
        levels[-1].channels = end.shape[0]
        levels[-1].weights += sum(leaf.weights for leaf, _ in iterate_leaves(tuple(inside)))
    while len(levels) > 1 and not levels[-1].weights:
        levels.pop()
    return levels


def is_side(item: Any) -> bool:
    """Return whether an item of a list is an auxiliary head."""
    return isinstance(item, Mapping) and next(iter(item), None) == "auxiliary"
