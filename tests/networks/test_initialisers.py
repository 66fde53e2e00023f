"""Initialisers: the distribution of what each draws, worked out by hand; one seed decides all."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.layers.initialisers import INITIALISE
from pipeline.layers.wired import WiredConv2d
from pipeline.networks.build import build
from pipeline.networks.parts import ACTIVATIONS, AS_PUBLISHED, INITIALISERS
from tests.networks.models import build_layers, layer_of, name_of
from tests.plans.models import plan_conf
from tests.refusals import refused

FAN_IN, FAN_OUT = 32 * 9, 64 * 9  # of 64 filters of 3x3 on 32 channels
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
    Draw({"truncated_normal": 0.05}, 0.05),  # cut at 40 deviations, as ConvNeXt's and timm's
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


WIRES = [[0], [0, 1], [1, 2, 3], [0, 1, 2, 3]] * 16
FILTERS = [  # of every kind, on 4 channels
    {"conv": 64},
    {"conv": 64, "dilation": 2},
    {"conv": 64, "groups": 4},
    {"depthwise": 3, "multiplier": 16},
    {"conv": 64, "wiring": WIRES},
    {"up": 64},
    {"up": 64, "kernel": 4, "stride": 2},
    {"up": 64, "kernel": 3, "stride": 2},
    {"up": 64, "kernel": [4, 3], "stride": [2, 1]},
]


def variances(layer: dict[str, Any], init: Any) -> tuple[Tensor, float]:
    """Return the variance of each output channel, away from the border, and of the gradient of the inputs.

    Both inputs and gradients of outputs are drawn from a standard normal distribution. Means over many draws of the
    weights, since a draw has as few as 9 of them per filter.
    """
    outputs, gradients = [], []
    for seed in range(20):
        module = build_layers(layer, shape=(4, 20, 20), init=init, norm="none", activation="none", seed=seed)
        image = torch.randn(4, 4, 20, 20, requires_grad=True)
        output = module(image)
        output.backward(torch.randn_like(output))
        assert image.grad is not None
        # Whole periods of a transposed convolution: the mean over its phases.
        rows, columns = (slice(side // 2 - 6, side // 2 + 6) for side in output.shape[2:])
        outputs.append(output.detach()[:, :, rows, columns].square().mean(dim=(0, 2, 3)))
        gradients.append(float(image.grad[:, :, 7:13, 7:13].square().mean()))
    return torch.stack(outputs).mean(dim=0), sum(gradients) / len(gradients)


@pytest.mark.parametrize("layer", FILTERS, ids=str)
@pytest.mark.parametrize("init", ["lecun", {"he_uniform": 1.0}], ids=str)
def test_every_filter_keeps_the_variance_of_its_inputs(layer: dict[str, Any], init: Any) -> None:
    outputs, _ = variances(layer, init)
    assert float(outputs.mean()) == pytest.approx(1, rel=0.05)
    if "wiring" in layer:  # whichever channels a filter sees
        by_wires = outputs.view(-1, 4).mean(dim=0)
        assert by_wires.tolist() == pytest.approx([1] * 4, rel=0.1)


@pytest.mark.parametrize("layer", [each for each in FILTERS if "wiring" not in each], ids=str)
@pytest.mark.parametrize("init", [{"xavier": 1.0}, {"xavier_normal": 1.0}], ids=str)
def test_xavier_is_between_keeping_outputs_and_gradients(layer: dict[str, Any], init: Any) -> None:
    """Their variances are fan-in and fan-out over their mean, whose sum is 2 (Glorot and Bengio 2010, eq. 12)."""
    outputs, gradients = variances(layer, init)
    assert float(outputs.mean()) + gradients == pytest.approx(2, rel=0.05)


def test_weights_of_wired_filters_have_the_variance_of_their_fan_in() -> None:
    """C3 of LeNet-5: filters that see 3, 4 and 6 maps."""
    network = plan_conf("model=lenet5_1998", shape=(1, 32, 32), outputs=10)
    drawn: dict[int, list[Tensor]] = {3: [], 4: [], 6: []}
    for seed in range(40):
        (wired,) = [each for each in build(network, seed=seed).modules() if isinstance(each, WiredConv2d)]
        for index in range(16):
            weights = wired.weight.detach()[wired.pairs[0] == index]
            drawn[len(weights)].append(weights.flatten())
    assert {fan: float(torch.cat(each).var()) for fan, each in drawn.items()} == {
        fan: pytest.approx(1 / (25 * fan), rel=0.05) for fan in drawn
    }


def test_wired_filters_start_like_those_of_torch_by_default() -> None:
    layer = {"conv": 64, "wiring": WIRES, "bias": True}
    wired = layer_of(build_layers(layer, shape=(4, 6, 6), init="default", norm="none", activation="none"))
    assert isinstance(wired, WiredConv2d)
    assert wired.bias is not None
    for count in range(1, 5):
        seeing = [index for index, row in enumerate(WIRES) if len(row) == count]
        weights = wired.weight.detach()[torch.isin(wired.pairs[0], torch.tensor(seeing))]
        bound = (9 * count) ** -0.5
        for drawn, least in ((weights, 0.95), (wired.bias.detach()[seeing], 0.5)):
            assert least * bound < float(drawn.abs().max()) <= bound


def test_truncated_normal_is_cut_at_two_as_in_torch_and_timm() -> None:
    weight, _ = build_layers(
        {"conv": 64}, shape=(32, 4, 4), init={"truncated_normal": 1.5}, norm="none"
    ).parameters()
    assert 1.9 < float(weight.detach().abs().max()) <= 2


@pytest.mark.parametrize(("activation", "gain"), [("none", 1), ("relu", RECTIFIER), ("tanh", 5 / 3)])
def test_gain_of_an_up_convolution_is_that_of_its_own_activation(activation: str, gain: float) -> None:
    layer = {"up": 32, "activation": activation}
    weight, _ = build_layers(layer, shape=(64, 4, 4), init="he", activation="relu").parameters()
    assert float(weight.detach().std()) == pytest.approx(gain / 64**0.5, rel=0.03)


def test_orthogonal_wired_filters_are_refused() -> None:
    with refused("model.layers[0]", hint="use another init"):
        build_layers({"conv": 64, "wiring": WIRES}, shape=(4, 6, 6), init="orthogonal")


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
