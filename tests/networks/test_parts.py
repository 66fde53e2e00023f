"""Norms and activations: each against its formula."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.networks.parts import ACTIVATIONS, NORMS
from pipeline.plans.view import Shape
from tests.networks.models import build_layers, count, image_of, layer_of, name_of, plan_layers


def normal_below(x: Tensor) -> Tensor:
    return (1 + torch.erf(x / math.sqrt(2))) / 2


def where_negative(x: Tensor, negative: Tensor) -> Tensor:
    return torch.where(x < 0, negative, x)


FORMULAS: list[tuple[Any, Callable[[Tensor], Tensor]]] = [
    ("sigmoid", lambda x: 1 / (1 + torch.exp(-x))),
    ("tanh", lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))),
    ("relu", lambda x: where_negative(x, 0 * x)),
    ("relu6", lambda x: x.clip(0, 6)),
    ("leaky_relu", lambda x: where_negative(x, 0.01 * x)),
    ({"leaky_relu": 0.2}, lambda x: where_negative(x, 0.2 * x)),
    ("prelu", lambda x: where_negative(x, 0.25 * x)),  # where He et al. 2015, section 2.1, start
    ({"prelu": 0.1}, lambda x: where_negative(x, 0.1 * x)),
    ("elu", lambda x: where_negative(x, torch.exp(x) - 1)),
    ({"elu": 0.5}, lambda x: where_negative(x, 0.5 * (torch.exp(x) - 1))),
    ("selu", lambda x: 1.0507009873554805 * where_negative(x, 1.6732632423543772 * (torch.exp(x) - 1))),
    ("gelu", lambda x: x * normal_below(x)),
    ("silu", lambda x: x / (1 + torch.exp(-x))),
    ("hard_sigmoid", lambda x: (x + 3).clip(0, 6) / 6),
    ("hard_swish", lambda x: x * (x + 3).clip(0, 6) / 6),
    ("softplus", lambda x: torch.log(1 + torch.exp(x))),
    ({"softplus": 2.0}, lambda x: torch.log(1 + torch.exp(2 * x)) / 2),
    ({"maxout": 2}, lambda x: torch.maximum(x[:, :1], x[:, 1:])),
    ("none", lambda x: x),
]


def test_every_activation_has_its_formula() -> None:
    assert {name_of(part) for part, _ in FORMULAS} == {*ACTIVATIONS, "none"}


@pytest.mark.parametrize(
    ("part", "formula"), FORMULAS, ids=lambda value: "" if callable(value) else str(value)
)
@pytest.mark.parametrize("at_layer", [False, True], ids=["network", "layer"])
def test_activation_follows_its_formula(
    part: Any, formula: Callable[[Tensor], Tensor], at_layer: bool
) -> None:
    line = torch.linspace(-8, 8, 101, dtype=torch.double)
    x = torch.stack([line, line.roll(40)]).view(1, 2, 1, 101)
    layer, rest = ({"activation": part}, "none") if at_layer else ("activation", part)
    module = build_layers(layer, shape=(2, 1, 101), activation=rest).double()
    torch.testing.assert_close(module(x), formula(x))


@pytest.mark.parametrize("pieces", [2, 3])
def test_maxout_layer_is_the_largest_of_its_linear_pieces(pieces: int) -> None:
    module = build_layers({"linear": 4, "activation": {"maxout": pieces}}, shape=(5,))
    linear, _ = layer_of(module, 1).children()
    assert isinstance(linear, nn.Linear)
    nn.init.normal_(linear.bias)
    x = torch.randn(3, 5, 1, 1)
    sums = x.flatten(1) @ linear.weight.T + linear.bias  # Goodfellow et al. 2013, equation 1
    expected = [sums[:, unit * pieces : (unit + 1) * pieces].amax(dim=1) for unit in range(4)]
    torch.testing.assert_close(module(x), torch.stack(expected, dim=1))


def test_prelu_learns_one_slope_per_channel() -> None:
    slopes = layer_of(build_layers({"activation": {"prelu": 0.1}}, shape=(3, 4, 4))).weight
    assert isinstance(slopes, nn.Parameter)
    torch.testing.assert_close(slopes.detach(), torch.full((3,), 0.1))


@dataclass(frozen=True)
class Norm:
    """A norm for 6 channels: the groups whose numbers it brings to mean 0 and deviation 1.

    Args:
        groups, axes: the axes to average over once the image is laid out as (N, groups, 6 / groups, ...).
        takes_vectors: whether it works without rows and columns.
    """

    part: Any
    groups: int
    axes: tuple[int, ...]
    eps: float = 1e-5
    takes_vectors: bool = True


NORM_ROWS = [
    Norm("batch", 6, (0, 2, 3, 4)),
    Norm({"batch": None, "eps": 0.01}, 6, (0, 2, 3, 4), eps=0.01),
    Norm("layer", 1, (1, 2, 3, 4)),
    Norm({"layer": "all", "eps": 0.01}, 1, (1, 2, 3, 4), eps=0.01),
    Norm({"layer": "channels"}, 1, (1, 2)),
    Norm({"layer": "channels", "eps": 0.01}, 1, (1, 2), eps=0.01),
    Norm("instance", 6, (2, 3, 4), takes_vectors=False),
    Norm({"group": 1}, 1, (1, 2, 3, 4)),
    Norm({"group": 3}, 3, (2, 3, 4)),
    Norm({"group": 6}, 6, (2, 3, 4), takes_vectors=False),  # a group of one number has no deviation
]

EACH_NORM = pytest.mark.parametrize("row", NORM_ROWS, ids=lambda row: str(row.part))


def test_every_norm_has_its_row() -> None:
    assert {name_of(row.part) for row in NORM_ROWS} == NORMS.keys()


def normalised(x: NDArray[Any], row: Norm) -> NDArray[Any]:
    """Subtract the mean and divide by the root of variance plus eps, in each group by itself."""
    grouped = x.reshape(len(x), row.groups, 6 // row.groups, *x.shape[2:])
    axes = tuple(axis for axis in row.axes if axis < grouped.ndim)
    mean, variance = grouped.mean(axis=axes, keepdims=True), grouped.var(axis=axes, keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + row.eps)).reshape(x.shape)


MAPS_AND_VECTORS: list[tuple[Norm, Shape]] = [(row, (6, 3, 4)) for row in NORM_ROWS]
MAPS_AND_VECTORS += [(row, (6,)) for row in NORM_ROWS if row.takes_vectors]


@pytest.mark.parametrize(
    ("row", "shape"), MAPS_AND_VECTORS, ids=lambda value: str(getattr(value, "part", value))
)
def test_norm_follows_its_formula(row: Norm, shape: Shape) -> None:
    module = build_layers("norm", shape=shape, norm=row.part).double().train()
    weight, bias = module.parameters()
    nn.init.normal_(weight)
    nn.init.normal_(bias)
    x = 5 + 3 * torch.randn(4, *image_of(shape), dtype=torch.double)
    by_channel = (-1, *[1] * (len(shape) - 1))
    expected = normalised(x.view(4, *shape).numpy(), row) * weight.detach().view(by_channel).numpy()
    expected += bias.detach().view(by_channel).numpy()
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9)


@EACH_NORM
def test_norm_learns_a_factor_and_a_summand_per_channel(row: Norm) -> None:
    network = plan_layers("norm", shape=(6, 3, 4), norm=row.part)
    assert (network.weights, network.multiply_adds) == (6 + 6, 0)
    module = build_layers("norm", shape=(6, 3, 4), norm=row.part)
    factors, summands = module.parameters()
    assert (count(module), factors.tolist(), summands.tolist()) == (12, [1.0] * 6, [0.0] * 6)


@EACH_NORM
def test_norm_treats_images_alike_in_a_batch_and_alone_in_evaluation(row: Norm) -> None:
    module = build_layers({"conv": 6, "norm": row.part}, shape=(2, 3, 4)).eval()
    images = torch.randn(3, 2, 3, 4)
    torch.testing.assert_close(module(images)[1:2], module(images[1:2]))


@pytest.mark.parametrize("shape", [(2, 3, 4), (6,)], ids=["map", "vector"])
def test_batch_norm_takes_its_momentum_of_the_newest_batch_into_what_it_evaluates_with(shape: Shape) -> None:
    module = build_layers({"norm": {"batch": None, "momentum": 0.3, "eps": 1e-3}}, shape=shape).double()
    x = 5 + 3 * torch.randn(4, *image_of(shape), dtype=torch.double)
    module.train()(x)
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True)
    mean, variance = 0.3 * mean, 0.7 + 0.3 * variance  # from mean 0 and variance 1 on
    expected = ((x - mean) / (variance + 1e-3).sqrt()).view(4, *shape)
    torch.testing.assert_close(module.eval()(x), expected)
