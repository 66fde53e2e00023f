"""What it costs to apply a classifier to every window of an image, and where one pass differs from cropping.

Source: Sermanet et al. 2013, arXiv:1312.6229, section 3.5.
"""

from __future__ import annotations

from math import prod

from pipeline.plans.network import Leaf, Network, times
from pipeline.plans.view import Pair

OF_ALL_POSITIONS = ("AdaptiveAvgPool2d", "GroupNorm", "InstanceNorm2d")


def grid(network: Network) -> Pair:
    """Return how many windows of a fully convolutional classifier lie below and beside each other."""
    _, rows, columns = network.output_shape
    return rows, columns


def step(network: Network) -> Pair:
    """Return how many pixels neighbouring windows lie apart."""
    rows, columns = (*network.layers, *network.head)[-1].view.jump
    return int(rows), int(columns)


def cost_of_cropping(network: Network) -> int:
    """Return the multiply-adds of the classifier for each window by itself."""
    assert network.windows is not None
    return prod(grid(network)) * network.windows.multiply_adds


def say_cost(network: Network) -> str:
    """Return a sentence on the windows of a fully convolutional classifier, and on their cost."""
    assert network.windows is not None
    cropping = cost_of_cropping(network)
    return (
        f"{times(grid(network))} windows of {times(network.windows.sides)} pixels, {times(step(network))} apart: "
        f"{network.multiply_adds:,} multiply-adds in one pass, {cropping:,} by cropping each, "
        f"{cropping / network.multiply_adds:.1f} times as many"
    )


def differences(network: Network) -> list[str]:
    """Return a sentence for each kind of layer that computes something else in one pass than window by window."""
    padded = [leaf for leaf in network.leaves() if leaf.window is not None and any(leaf.window[2])]
    whole = [leaf for leaf in network.leaves() if _mixes_positions(leaf)]
    unknown = [leaf for leaf in network.leaves() if leaf.name.startswith("module ")]
    sentences = (
        (padded, "padding is where the image ends and not where a window does"),
        (whole, "its means are over the image and not over a window"),
        (unknown, "a module may see more of the image than a window"),
    )
    return [
        f"one pass differs from window by window: {_name(leaves)}: {sentence}"
        for leaves, sentence in sentences
        if leaves
    ]


def _mixes_positions(leaf: Leaf) -> bool:
    """Return whether a layer computes means over the rows and columns of its whole input."""
    is_map = prod(leaf.source.shape[1:]) > 1
    return is_map and any(spec.target.endswith(OF_ALL_POSITIONS) for spec in leaf.specs)


def _name(leaves: list[Leaf]) -> str:
    first = f"{leaves[0].where} {leaves[0].name}"
    return first if len(leaves) == 1 else f"{first} and {len(leaves) - 1} more"
