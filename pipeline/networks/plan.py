"""The plan of a network: what will be built, known in full before a single weight exists.

A plan is a tree of `Leaf` and `Structure`. It carries shapes, weights, multiply-adds and receptive
fields, so that a network is checked and counted without importing a tensor library.
Shapes: one image, (C, H, W) for maps and (F,) for vectors; the batch axis is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any

Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class View:
    """What one output element sees of the image.

    Args:
        field: rows and columns of the receptive field, in pixels of the image.
        jump: distance in the image between two neighbouring elements, per axis.
        image: rows and columns of the image; no field is larger.
    """

    field: Pair
    jump: tuple[Fraction, Fraction]
    image: Pair

    @classmethod
    def of_image(cls, shape: Shape) -> View:
        """Return the view of the image's own pixels."""
        return cls((1, 1), (Fraction(1), Fraction(1)), (shape[1], shape[2]))

    def through(self, kernel: Pair, stride: Pair) -> View:
        """Return the view behind a filter: r + (k - 1) j and j s (Araujo et al. 2019, eq. 2)."""
        seen = [
            min(size, int(r + (k - 1) * j))
            for r, k, j, size in zip(self.field, kernel, self.jump, self.image, strict=True)
        ]
        jump = (self.jump[0] * stride[0], self.jump[1] * stride[1])
        return replace(self, field=(seen[0], seen[1]), jump=jump)

    def through_up(self, kernel: Pair, stride: Pair) -> View:
        """Return the view behind a transposed filter: ceil(k / s) inputs reach one output."""
        reach = (-(-kernel[0] // stride[0]), -(-kernel[1] // stride[1]))
        widened = self.through(reach, (1, 1))
        return replace(widened, jump=(self.jump[0] / stride[0], self.jump[1] / stride[1]))

    def whole(self) -> View:
        """Return the view of an element that sees every pixel."""
        return replace(self, field=self.image)

    def joined(self, other: View) -> View:
        """Return the view of an element fed by two paths: the wider of the two."""
        widest = [max(a, b) for a, b in zip(self.field, other.field, strict=True)]
        return replace(self, field=(widest[0], widest[1]))


@dataclass(frozen=True)
class Spec:
    """One torch module to be made: its class by dotted name, its arguments, its initialiser."""

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    init: tuple[str, Any] | None = None


@dataclass(frozen=True)
class Leaf:
    """One layer: its modules in order, and what it costs for one image.

    Args:
        name: as in the table, e.g. `conv 64, 3x3 / 2`.
        where: place in the list, e.g. `layers[3]`.
        weights: trainable numbers.
        multiply_adds: output elements times inputs per output; convolutions and linear layers only.
    """

    name: str
    where: str
    shape: Shape
    view: View
    specs: tuple[Spec, ...] = ()
    weights: int = 0
    multiply_adds: int = 0


@dataclass(frozen=True)
class Structure:
    """Lists of layers joined by a container module, e.g. a residual block.

    Args:
        target: the container's class; it takes one module per branch, in order.
    """

    name: str
    where: str
    shape: Shape
    view: View
    target: str
    branches: tuple[tuple[Node, ...], ...]
    after: tuple[Leaf, ...] = ()


Node = Leaf | Structure


@dataclass(frozen=True)
class Network:
    """A planned network: `layers`, then `head`, for images of one shape."""

    name: str
    shape: Shape
    outputs: int
    layers: tuple[Node, ...]
    head: tuple[Node, ...]

    def leaves(self) -> Iterator[Leaf]:
        """Yield every layer in the order of computation."""
        yield from leaves_of((*self.layers, *self.head))

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out for one image."""
        return (*self.layers, *self.head)[-1].shape

    @property
    def weights(self) -> int:
        """All trainable numbers."""
        return sum(leaf.weights for leaf in self.leaves())

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of convolutions and linear layers for one image."""
        return sum(leaf.multiply_adds for leaf in self.leaves())


def leaves_of(nodes: tuple[Node, ...]) -> Iterator[Leaf]:
    """Yield the leaves below some nodes, depth first."""
    for node in nodes:
        if isinstance(node, Leaf):
            yield node
        else:
            for branch in node.branches:
                yield from leaves_of(branch)
            yield from node.after


def elements(shape: Shape) -> int:
    """Return how many numbers a shape holds."""
    return prod(shape)
