"""Initialisers: the distribution of what each draws, worked out by hand; one seed decides all."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.layers.initialisers import INITIALISE
from pipeline.networks.parts import ACTIVATIONS, AS_PUBLISHED, INITIALISERS
from tests.networks.models import build_layers, layer_of, name_of

FAN_IN, FAN_OUT = 32 * 9, 64 * 9  # of 64 filters of 3x3 on 32 channels
TRUNCATED = 0.8796  # deviation of a standard normal variable cut at -2 and 2
RECTIFIER = math.sqrt(2)  # gain: a rectifier lets half of the variance through


@dataclass(frozen=True)
class Draw:
    """What an initialiser draws: mean, deviation, and the largest size where there is one.

    Args:
        gain: by how much the gain of a rectifier widens the draw.
    """

    init: Any
    deviation: float
    bound: float | None = None
    mean: float = 0.0
    gain: float = 1.0


def uniform(init: Any, bound: float, gain: float = 1.0) -> Draw:
    return Draw(init, bound / math.sqrt(3), bound, gain=gain)


DRAWS = [
    Draw("zero", 0.0, 0.0),
    Draw({"constant": 0.3}, 0.0, 0.3, mean=0.3),
    Draw({"normal": 0.05}, 0.05),
    uniform({"uniform": 0.07}, 0.07),
    Draw({"truncated_normal": 0.05}, 0.05 * TRUNCATED, 0.1),
    Draw("xavier_normal", math.sqrt(2 / (FAN_IN + FAN_OUT)), gain=RECTIFIER),
    Draw({"xavier_normal": 0.5}, 0.5 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    uniform("xavier_uniform", math.sqrt(6 / (FAN_IN + FAN_OUT)), gain=RECTIFIER),
    uniform({"xavier_uniform": 2}, 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
    Draw("he_normal", math.sqrt(1 / FAN_IN), gain=RECTIFIER),
    Draw({"he_normal": 0.5}, 0.5 * math.sqrt(1 / FAN_IN)),
    uniform("he_uniform", math.sqrt(3 / FAN_IN), gain=RECTIFIER),
    uniform({"he_uniform": 2}, 2 * math.sqrt(3 / FAN_IN)),
    Draw("lecun_normal", math.sqrt(1 / FAN_IN)),
    Draw("orthogonal", math.sqrt(1 / FAN_IN)),  # rows of length 1
    uniform("default", math.sqrt(1 / FAN_IN)),  # torch's own
    # As published: Glorot and Bengio 2010, equation 16; He et al. 2015, equation 10; LeCun et al. 1998, equation 16.
    uniform("xavier", math.sqrt(6 / (FAN_IN + FAN_OUT)), gain=RECTIFIER),
    Draw("he", math.sqrt(1 / FAN_IN), gain=RECTIFIER),
    Draw("lecun", math.sqrt(1 / FAN_IN)),
]


def test_every_initialiser_has_its_row() -> None:
    assert {name_of(row.init) for row in DRAWS} == INITIALISERS.keys() | AS_PUBLISHED.keys()
    assert INITIALISERS.keys() == {*INITIALISE, "default"}


@pytest.mark.parametrize("row", DRAWS, ids=lambda row: str(row.init))
@pytest.mark.parametrize("at_layer", [False, True], ids=["network", "layer"])
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_drawn_weights_have_the_distribution_of_their_name(
    row: Draw, at_layer: bool, activation: str
) -> None:
    layer = {"conv": 64, **({"init": row.init} if at_layer else {})}
    rest = "zero" if at_layer else row.init
    module = build_layers(layer, shape=(32, 4, 4), init=rest, activation=activation, norm="none")
    weight, bias = (p.detach() for p in module.parameters())
    assert weight.shape == (64, 32, 3, 3)
    gain = row.gain if activation == "relu" else 1.0
    deviation = gain * row.deviation
    assert float(weight.mean()) == pytest.approx(row.mean, abs=4 * deviation / math.sqrt(18432) + 1e-7)
    assert float(weight.std()) == pytest.approx(deviation, rel=0.025, abs=1e-7)
    if row.bound is None:  # bell-shaped; of a uniform draw only 0.577 lie so near
        near = (weight - row.mean).abs() < deviation
        assert float(near.float().mean()) == pytest.approx(0.683, abs=0.015)
    else:
        assert 0.99 * gain * row.bound <= float(weight.abs().max()) <= gain * row.bound * (1 + 1e-6)
    assert bool(bias.any()) == (row.init == "default")


# By how much a weight makes up for the activation: for what torch knows, its table; else that of a rectifier.
GAINS: list[tuple[Any, float]] = [
    *((name, nn.init.calculate_gain(name)) for name in ("sigmoid", "tanh", "relu", "selu")),
    ("leaky_relu", nn.init.calculate_gain("leaky_relu", 0.01)),
    ({"leaky_relu": 0.2}, nn.init.calculate_gain("leaky_relu", 0.2)),
    ("prelu", nn.init.calculate_gain("leaky_relu", 0.25)),
    ({"prelu": 0.1}, nn.init.calculate_gain("leaky_relu", 0.1)),
    ("none", nn.init.calculate_gain("linear")),
    ("hard_sigmoid", nn.init.calculate_gain("sigmoid")),
    *(
        (name, RECTIFIER)
        for name in ("relu6", "elu", "gelu", "silu", "hard_swish", "softplus", {"maxout": 2})
    ),
]


def test_every_activation_has_its_gain() -> None:
    assert {name_of(activation) for activation, _ in GAINS} == {*ACTIVATIONS, "none"}


def deviation_of(layer: Any, **changes: Any) -> float:
    """Return the deviation that He's initialiser gives to a linear layer of 400 inputs, times their root."""
    module = build_layers("flatten", layer, shape=(400, 1, 1), init="he", **changes)
    return 20 * float(next(module.parameters()).detach().std())


@pytest.mark.parametrize(("activation", "gain"), GAINS, ids=str)
def test_gain_is_that_of_the_activation_behind_the_layer(activation: Any, gain: float) -> None:
    of_layer = deviation_of({"linear": 100, "activation": activation}, activation="none")
    assert of_layer == pytest.approx(gain, rel=0.02)
    assert deviation_of({"linear": 100}, activation=activation) == pytest.approx(gain, rel=0.02)


def test_layer_without_activation_has_the_gain_of_the_networks() -> None:
    layers = ({"linear": 100, "activation": "none"}, {"linear": "outputs"})
    for layer in layers:
        assert deviation_of(layer, activation="tanh") == pytest.approx(5 / 3, rel=0.03)


def test_rows_of_an_orthogonal_weight_are_orthogonal() -> None:
    weight, *_ = build_layers({"conv": 64}, shape=(32, 4, 4), init="orthogonal").parameters()
    rows = weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(64), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "layer", [{"conv": 4}, {"depthwise": 3}, {"up": 4}, {"conv": 1, "wiring": [[0, 1]]}], ids=str
)
def test_every_filter_is_drawn_by_the_networks_initialiser(layer: Any) -> None:
    weight, bias = build_layers(layer, shape=(2, 6, 6), init={"constant": 0.7}, norm="none").parameters()
    assert (weight.unique().tolist(), bias.unique().tolist()) == ([pytest.approx(0.7)], [0])


def test_norms_keep_their_own_start_whatever_the_initialiser() -> None:
    module = layer_of(build_layers({"conv": 4}, shape=(2, 6, 6), init="zero"))
    _, norm, _ = module.children()
    assert isinstance(norm, nn.BatchNorm2d)
    assert (norm.weight.tolist(), norm.bias.tolist()) == ([1] * 4, [0] * 4)


LAYERS = [{"conv": 4}, {"up": 3}, {"conv": 2, "wiring": [[0], [1, 2]]}, "flatten", {"linear": 5}]


def weights_from(seed: int) -> Tensor:
    module = build_layers(*LAYERS, shape=(2, 3, 3), seed=seed)
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
