"""The plan of a network: a full description of its modules, without weights.

A plan is a tree of `Leaf` and `Structure`. It carries shapes, weights, multiply-adds and receptive
fields, so that a network can be checked and counted without importing torch.
Shapes: one image, (C, H, W) for maps and (F,) for vectors; the batch axis is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, prod
from typing import Any

from pipeline.plans.view import Pair, Shape, View

PIXELS = "pipeline.layers.pixels.Pixels"  # the layer that is an image
NORMS_OVER_MAPS = {"torch.nn.InstanceNorm2d", "torch.nn.GroupNorm"}  # whose means are of all rows and columns
Terms = tuple[tuple[int, ...], ...]
Init = tuple[str, Any, float]


@dataclass(frozen=True)
class Flow:
    """The input or output of a layer: its shape and its view of the image."""

    shape: Shape
    view: View


@dataclass(frozen=True)
class Spec:
    """One torch module to build: the dotted name of its class, its arguments, its initialiser.

    Args:
        init: name and value of an initialiser, and the gain of the activation after the module.
        weights: number of trainable parameters, as a sum of products, e.g. 3*3*64*128 + 128.
    """

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    init: Init | None = None
    weights: Terms = ()


@dataclass(frozen=True)
class Leaf:
    """One layer: its modules in order, and its cost for one image.

    Args:
        name: as in the table, e.g. `conv 64, 3x3 / 2`.
        where: place in the model, e.g. `layers[3]`.
        source: the input.
        shape: of the output.
        window: kernel, stride and padding of a filter or pool; None for other layers.
        products: multiply-adds as a sum of products; convolutions and linear layers only.
    """

    name: str
    where: str
    source: Flow
    shape: Shape
    view: View
    specs: tuple[Spec, ...] = ()
    window: tuple[Pair, Pair, Pair] | None = None
    products: Terms = ()

    @property
    def weights(self) -> int:
        """Number of trainable parameters."""
        return sum(total(spec.weights) for spec in self.specs)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds: output elements times inputs per output."""
        return total(self.products)


@dataclass(frozen=True)
class Structure:
    """Lists of layers joined by a container module, e.g. a residual block.

    Args:
        target: the container's class; it takes one module per branch, then the module after the join.
        arguments: further arguments of the container's constructor.
        is_side: whether the output does not depend on it, as for an auxiliary head.
    """

    name: str
    where: str
    shape: Shape
    view: View
    target: str
    branches: tuple[tuple[Node, ...], ...]
    after: tuple[Leaf, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_side: bool = False


Node = Leaf | Structure


@dataclass(frozen=True)
class Windows:
    """The windows of an image that a network applies a classifier to.

    Args:
        sides: rows and columns of a window.
        multiply_adds: of the classifier for one window.
    """

    sides: Pair
    multiply_adds: int


@dataclass(frozen=True)
class Network:
    """A planned network: `layers`, then `head`, for images of one shape.

    Args:
        windows: of a fully convolutional classifier; None for other networks.
    """

    name: str
    shape: Shape
    outputs: int
    layers: tuple[Node, ...]
    head: tuple[Node, ...]
    windows: Windows | None = None

    def leaves(self) -> Iterator[Leaf]:
        """Yield every layer that the output depends on, in the order of computation."""
        return (leaf for leaf, is_side in iterate_leaves((*self.layers, *self.head)) if not is_side)

    def side_leaves(self) -> Iterator[Leaf]:
        """Yield the layers of auxiliary heads, which are used in training only."""
        return (leaf for leaf, is_side in iterate_leaves((*self.layers, *self.head)) if is_side)

    def levels(self) -> list[list[Leaf]]:
        """Return the layers by level: one per resolution on the way down, one for the way up, the head last.

        A level begins where the map gets smaller than any before it, and where it first gets larger again.
        """
        levels: list[list[Leaf]] = [[]]
        smallest, has_grown = prod(self.shape[1:]), False
        for shape, leaves in _units(self.layers):
            pixels = prod(shape[1:])
            if len(shape) == 3 and not has_grown and pixels != smallest:
                levels += [[]] if levels[-1] else []
                smallest, has_grown = min(pixels, smallest), pixels > smallest
            levels[-1] += leaves
        return [*levels, [leaf for leaf, is_side in iterate_leaves(self.head) if not is_side]]

    def level_ends(self) -> list[int]:
        """Return the place, in `layers`, of the last node of each level on the way down, see `levels`."""
        ends: list[int] = []
        smallest = prod(self.shape[1:])
        for place, node in enumerate(self.layers):
            pixels = prod(node.shape[1:])
            if len(node.shape) != 3 or pixels > smallest:
                return [*ends, place - 1] if place else []
            ends += [place - 1] if place and pixels < smallest else []
            smallest = pixels
        return [*ends, len(self.layers) - 1] if self.layers else []

    @property
    def is_image(self) -> bool:
        """Whether what is learnt is one image, so that the network applies to no other."""
        return PIXELS in self.targets()

    @property
    def has_norms_over_maps(self) -> bool:
        """Whether layers normalise over all rows and columns of an image, so that an output depends on all of it."""
        return not NORMS_OVER_MAPS.isdisjoint(self.targets())

    def targets(self) -> set[str]:
        """Return the dotted names of all classes that the network is built from."""
        nodes = list(_nodes((*self.layers, *self.head)))
        specs = {spec.target for node in nodes if isinstance(node, Leaf) for spec in node.specs}
        return specs | {node.target for node in nodes if isinstance(node, Structure)}

    @property
    def output_shape(self) -> Shape:
        """Shape of the output for one image."""
        return (*self.layers, *self.head)[-1].shape

    @property
    def weights(self) -> int:
        """Number of trainable parameters, without auxiliary heads."""
        return sum(leaf.weights for leaf in self.leaves())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of convolutions and linear layers for one image."""
        return sum(leaf.multiply_adds for leaf in self.leaves())

    @property
    def activations(self) -> int:
        """Number of elements in the outputs of all layers for one image; four bytes each in float32."""
        return sum(prod(leaf.shape) for leaf in self.leaves())


def iterate_leaves(nodes: tuple[Node, ...], *, is_side: bool = False) -> Iterator[tuple[Leaf, bool]]:
    """Yield the leaves of some nodes, depth first, and whether each is part of an auxiliary head."""
    for node in nodes:
        if isinstance(node, Leaf):
            yield node, is_side
        else:
            for branch in node.branches:
                yield from iterate_leaves(branch, is_side=is_side or node.is_side)
            yield from ((leaf, is_side) for leaf in node.after)


def _nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Yield some nodes and all below them."""
    for node in nodes:
        yield node
        if isinstance(node, Structure):
            for branch in node.branches:
                yield from _nodes(branch)
            yield from node.after


def _units(nodes: tuple[Node, ...]) -> Iterator[tuple[Shape, list[Leaf]]]:
    """Yield output shape and leaves of each node that lies in one level; only skips span several."""
    for node in nodes:
        if isinstance(node, Structure) and node.name == "skip":
            yield from _units((*node.branches[0], *node.after))
        else:
            yield node.shape, [leaf for leaf, is_side in iterate_leaves((node,)) if not is_side]


def total(terms: Terms) -> int:
    """Return the sum of some products."""
    return sum(map(prod, terms))


def times(numbers: Shape) -> str:
    """Return a shape as text, e.g. `64x3x3`."""
    return "x".join(map(str, numbers))


def say_nearest(view: View, nodes: tuple[Node, ...]) -> str:
    """Return the rows and columns nearest to those of the image that all layers divide; empty if it has them."""
    jumps = [leaf.view.jump for leaf, _ in iterate_leaves(nodes)]
    steps = [ceil(max(jump[axis] for jump in jumps)) for axis in range(len(view.image))]
    nearest = [max(1, round(side / step)) * step for side, step in zip(view.image, steps, strict=True)]
    return (
        "" if nearest == [*view.image] else f"; the nearest to {times(view.image)} are {times((*nearest,))}"
    )


def side_or_sides(pair: Pair) -> str:
    """Return a pair as text: one number if rows and columns are equal."""
    return str(pair[0]) if pair[0] == pair[1] else times(pair)
