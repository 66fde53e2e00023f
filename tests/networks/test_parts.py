"""Norms, activations and initialisers: each against its formula."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.networks.build import INITIALISE, build
from pipeline.networks.parts import ACTIVATIONS, INITIALISERS, NORMS
from pipeline.networks.plan import Shape
from pipeline.networks.structures import plan


def build_layers(*layers: Any, shape: Shape, seed: int = 0, init: Any = "default") -> nn.Sequential:
    model = {"name": "parts", "norm": "none", "activation": "none", "init": init}
    return build(plan({**model, "layers": list(layers), "head": []}, shape=shape, outputs=2), seed=seed)


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
    ("elu", lambda x: where_negative(x, torch.exp(x) - 1)),
    ({"elu": 0.5}, lambda x: where_negative(x, 0.5 * (torch.exp(x) - 1))),
    ("selu", lambda x: 1.0507009873554805 * where_negative(x, 1.6732632423543772 * (torch.exp(x) - 1))),
    ("gelu", lambda x: x * normal_below(x)),
    ("silu", lambda x: x / (1 + torch.exp(-x))),
    ("hard_swish", lambda x: x * (x + 3).clip(0, 6) / 6),
    ("softplus", lambda x: torch.log(1 + torch.exp(x))),
    ({"softplus": 2.0}, lambda x: torch.log(1 + torch.exp(2 * x)) / 2),
    ("none", lambda x: x),
]


def name_of(part: Any) -> str:
    return part if isinstance(part, str) else next(iter(part))


def test_every_activation_has_its_formula() -> None:
    assert {name_of(part) for part, _ in FORMULAS} == {*ACTIVATIONS, "none"}


@pytest.mark.parametrize(("part", "formula"), FORMULAS, ids=lambda value: str(value)[:30])
def test_activation_follows_its_formula(part: Any, formula: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-8, 8, 101, dtype=torch.double).view(1, 1, 1, -1)
    module = build_layers({"activation": part}, shape=(1, 1, 101)).double()
    torch.testing.assert_close(module(x), formula(x))


# norm -> the axes of (N, groups, C / groups, H, W) whose numbers it brings to mean 0 and deviation 1
NORM_ROWS = [("batch", 3, (0, 2, 3, 4)), ({"group": 1}, 1, (2, 3, 4)), ({"group": 3}, 3, (2, 3, 4))]


def test_every_norm_has_its_row() -> None:
    assert {name_of(part) for part, *_ in NORM_ROWS} == set(NORMS)


@pytest.mark.parametrize(("part", "groups", "axes"), NORM_ROWS, ids=str)
def test_norm_brings_its_group_to_mean_0_and_deviation_1(
    part: Any, groups: int, axes: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    module = build_layers({"norm": part}, shape=(3, 8, 9))
    output = module(5 + 3 * torch.randn(4, 3, 8, 9)).view(4, groups, 3 // groups, 8, 9)
    mean, deviation = output.mean(dim=axes), output.std(dim=axes, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-4, rtol=0)


def test_batch_norm_of_a_vector_normalises_each_feature() -> None:
    module = build_layers("flatten", {"norm": "batch"}, shape=(2, 1, 3))
    output = module(7 + torch.rand(50, 2, 1, 3))
    torch.testing.assert_close(output.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)


FAN_IN, FAN_OUT = 32 * 9, 64 * 9  # of 64 filters of 3x3 on 32 channels
TRUNCATED = 0.8796  # deviation of a standard normal variable cut at -2 and 2


@dataclass(frozen=True)
class Draw:
    """What an initialiser draws: mean, deviation, and the largest size where there is one."""

    init: Any
    deviation: float
    bound: float | None = None
    mean: float = 0.0


def uniform(init: Any, bound: float) -> Draw:
    return Draw(init, bound / math.sqrt(3), bound)


DRAWS = [
    Draw("zero", 0.0, 0.0),
    Draw({"constant": 0.3}, 0.0, 0.3, mean=0.3),
    Draw({"normal": 0.05}, 0.05),
    uniform({"uniform": 0.07}, 0.07),
    Draw({"truncated_normal": 0.05}, 0.05 * TRUNCATED, 0.1),
    Draw("xavier_normal", math.sqrt(2 / (FAN_IN + FAN_OUT))),
    uniform("xavier_uniform", math.sqrt(6 / (FAN_IN + FAN_OUT))),
    Draw("he_normal", math.sqrt(2 / FAN_IN)),
    uniform("he_uniform", math.sqrt(6 / FAN_IN)),
    Draw("lecun_normal", math.sqrt(1 / FAN_IN)),
    Draw("orthogonal", math.sqrt(1 / FAN_IN)),  # rows of length 1
    uniform("default", math.sqrt(1 / FAN_IN)),  # torch's own
]


def test_every_initialiser_has_its_row() -> None:
    assert {name_of(row.init) for row in DRAWS} == INITIALISERS.keys() == {*INITIALISE, "default"}


@pytest.mark.parametrize("row", DRAWS, ids=lambda row: str(row.init))
@pytest.mark.parametrize("at_layer", [False, True], ids=["network", "layer"])
def test_drawn_weights_have_the_distribution_of_their_name(row: Draw, at_layer: bool) -> None:
    layer = {"conv": 64, **({"init": row.init} if at_layer else {})}
    module = build_layers(layer, shape=(32, 4, 4), init="zero" if at_layer else row.init)
    weight, bias = (p.detach() for p in module.parameters())
    assert weight.shape == (64, 32, 3, 3)
    assert float(weight.mean()) == pytest.approx(row.mean, abs=4 * row.deviation / math.sqrt(18432) + 1e-7)
    assert float(weight.std()) == pytest.approx(row.deviation, rel=0.025, abs=1e-7)
    if row.bound is not None:
        assert 0.99 * row.bound <= float(weight.abs().max()) <= row.bound * (1 + 1e-6)
    assert bool(bias.any()) == (row.init == "default")


def test_rows_of_an_orthogonal_weight_are_orthogonal() -> None:
    weight, _ = build_layers({"conv": 64}, shape=(32, 4, 4), init="orthogonal").parameters()
    rows = weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(64), atol=1e-5, rtol=0)


LAYERS = [{"conv": 4}, {"up": 3}, "flatten", {"linear": 5}]


def weights_from(seed: int) -> Tensor:
    module = build_layers(*LAYERS, shape=(2, 3, 3), seed=seed, init="he_normal")
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_seed_alone_decides_the_weights() -> None:
    before = weights_from(3)
    torch.manual_seed(99)
    assert torch.equal(weights_from(3), before)
    assert not torch.equal(weights_from(4), before)


def test_building_leaves_the_random_state_of_torch_alone() -> None:
    state = torch.get_rng_state()
    weights_from(3)
    assert torch.equal(torch.get_rng_state(), state)
