"""One row per kind of layer: shape, weights and multiply-adds counted by hand, then built and run."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.networks.build import build
from pipeline.networks.leaves import LEAVES
from pipeline.networks.plan import Network, Shape
from pipeline.networks.structures import STRUCTURES, plan


def plan_layers(*layers: Any, shape: Shape, norm: Any = "batch", activation: Any = "relu") -> Network:
    model = {"name": "small", "norm": norm, "activation": activation, "init": "he_normal"}
    return plan({**model, "layers": list(layers), "head": []}, shape=shape, outputs=10)


def first(module: nn.Sequential, index: int = 0) -> nn.Module:
    """Return one of the `layers` of a built network."""
    layers = module.layers
    assert isinstance(layers, nn.Sequential)
    return layers[index]


@dataclass(frozen=True)
class Row:
    layer: Any
    shape: Shape  # of the input
    output: Shape
    weights: int
    multiply_adds: int

    def kind(self) -> str:
        return self.layer if isinstance(self.layer, str) else next(iter(self.layer))


ROWS = [
    #   layer                                            in           out          weights      multiply-adds
    Row({"conv": 8},                                     (4, 6, 5),   (8, 6, 5),   288 + 16,    30 * 288),
    Row({"conv": 8, "norm": "none"},                     (4, 6, 5),   (8, 6, 5),   288 + 8,     30 * 288),
    Row({"conv": 8, "bias": True},                       (4, 6, 5),   (8, 6, 5),   288 + 24,    30 * 288),
    Row({"conv": 8, "norm": "none", "bias": False},      (4, 6, 5),   (8, 6, 5),   288,         30 * 288),
    Row({"conv": 8, "groups": 4},                        (4, 6, 5),   (8, 6, 5),   72 + 16,     30 * 72),
    Row({"conv": 8, "kernel": [1, 3], "stride": [1, 2]}, (4, 6, 5),   (8, 6, 3),   96 + 16,     18 * 96),
    Row({"conv": 8, "kernel": 5, "padding": "valid"},    (4, 6, 5),   (8, 2, 1),   800 + 16,    2 * 800),
    Row({"conv": 8, "kernel": 2, "padding": 1},          (4, 6, 5),   (8, 7, 6),   128 + 16,    42 * 128),
    Row({"conv": "outputs", "kernel": 1},                (4, 6, 5),   (10, 6, 5),  40 + 10,     30 * 40),
    Row({"up": 2},                                       (4, 6, 5),   (2, 12, 10), 32 + 2,      30 * 32),
    Row({"up": 2, "kernel": 3, "norm": "batch"},         (4, 6, 5),   (2, 13, 11), 72 + 4,      30 * 72),
    Row("pool",                                          (4, 6, 5),   (4, 3, 2),   0,           0),
    Row({"pool": "avg", "kernel": 3, "stride": 1},       (4, 6, 5),   (4, 4, 3),   0,           0),
    Row({"pool": "max", "kernel": 3, "padding": 1},      (4, 6, 5),   (4, 2, 2),   0,           0),
    Row({"pool": "global"},                              (4, 6, 5),   (4, 1, 1),   0,           0),
    Row({"linear": 3},                                   (7,),        (3,),        21 + 3,      21),
    Row({"linear": "outputs", "bias": False},            (7,),        (10,),       70,          70),
    Row({"linear": 3, "norm": "batch"},                  (7,),        (3,),        21 + 6,      21),
    Row("flatten",                                       (4, 6, 5),   (120,),      0,           0),
    Row({"dropout": 0.2},                                (4, 6, 5),   (4, 6, 5),   0,           0),
    Row("dropout",                                       (7,),        (7,),        0,           0),
    Row("norm",                                          (4, 6, 5),   (4, 6, 5),   8,           0),
    Row({"norm": {"group": 2}},                          (4, 6, 5),   (4, 6, 5),   8,           0),
    Row({"norm": "none"},                                (4, 6, 5),   (4, 6, 5),   0,           0),
    Row("activation",                                    (4, 6, 5),   (4, 6, 5),   0,           0),
    Row({"activation": {"leaky_relu": 0.2}},             (7,),        (7,),        0,           0),
    Row({"residual": [{"conv": 4}]},                     (4, 6, 5),   (4, 6, 5),   144 + 8,     30 * 144),
    Row({"residual": [{"conv": 8, "stride": 2}]},        (4, 6, 5),   (8, 3, 3),
        288 + 16 + 32 + 16,  9 * 288 + 9 * 32),                                    # and its projection
    Row({"skip": [{"conv": 8}]},                         (4, 6, 5),   (12, 6, 5),  288 + 16,    30 * 288),
]  # fmt: skip


def is_vector(row: Row) -> bool:
    return len(row.shape) == 1


def plan_row(row: Row) -> Network:
    """Plan one layer; a vector is a map of one pixel, flattened before."""
    if is_vector(row):
        return plan_layers("flatten", row.layer, shape=(*row.shape, 1, 1))
    return plan_layers(row.layer, shape=row.shape)


def test_every_kind_of_layer_has_its_row() -> None:
    assert {row.kind() for row in ROWS} == LEAVES.keys() | STRUCTURES.keys()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.layer))
def test_layer_has_the_shape_and_cost_counted_by_hand(row: Row) -> None:
    network = plan_row(row)
    assert network.output_shape == row.output
    assert (network.weights, network.multiply_adds) == (row.weights, row.multiply_adds)
    module = build(network, seed=0)
    assert module(torch.randn(2, *network.shape)).shape == (2, *row.output)
    assert sum(p.numel() for p in module.parameters()) == row.weights


def test_layer_of_outputs_has_neither_norm_nor_activation() -> None:
    network = plan_layers({"conv": "outputs", "kernel": 1}, shape=(4, 6, 5))
    assert isinstance(first(build(network, seed=0)), nn.Conv2d)
    hidden = build(plan_layers({"conv": 10, "kernel": 1}, shape=(4, 6, 5)), seed=0)
    assert [type(each) for each in first(hidden).children()] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_norm_comes_between_convolution_and_activation_with_the_options_of_the_layer() -> None:
    layer = {"conv": 8, "norm": {"group": 4}, "activation": {"leaky_relu": 0.3}}
    _, norm, activation = first(build(plan_layers(layer, shape=(4, 6, 5)), seed=0)).children()
    assert isinstance(norm, nn.GroupNorm)
    assert (norm.num_groups, norm.num_channels) == (4, 8)
    assert isinstance(activation, nn.LeakyReLU)
    assert activation.negative_slope == 0.3


def test_dropout_zeroes_only_while_training() -> None:
    module = build(plan_layers({"dropout": 0.9}, shape=(1, 50, 50)), seed=0)
    image = torch.ones(1, 1, 50, 50)
    assert 0.8 < float((module.train()(image) == 0).float().mean()) < 0.97
    assert torch.equal(module.eval()(image), image)


def test_global_pool_is_the_mean_of_each_channel() -> None:
    image = torch.rand(2, 3, 4, 5)
    module = build(plan_layers({"pool": "global"}, shape=(3, 4, 5)), seed=0)
    torch.testing.assert_close(module(image)[..., 0, 0], image.mean(dim=(2, 3)))


def run_residual(layer: dict[str, Any], image: Tensor) -> tuple[nn.Module, Tensor]:
    module = build(plan_layers(layer, shape=tuple(image.shape[1:])), seed=0).eval()
    return first(module), module(image)


def test_residual_adds_its_input_then_applies_the_activation() -> None:
    image = torch.randn(2, 4, 6, 5)
    block, output = run_residual({"residual": [{"conv": 4}, {"conv": 4, "activation": "none"}]}, image)
    torch.testing.assert_close(output, torch.relu(block.body(image) + image))
    assert isinstance(block.shortcut, nn.Identity)
    assert (block.body(image) < 0).any(), "the last convolution must not cut off negative numbers"


def test_residual_projects_its_input_where_the_shapes_differ() -> None:
    image = torch.randn(2, 4, 6, 5)
    layer = {"residual": [{"conv": 8, "stride": 2, "activation": "none"}], "activation": "none"}
    block, output = run_residual(layer, image)
    torch.testing.assert_close(output, block.body(image) + block.shortcut(image))
    (projection,) = block.shortcut.children()
    conv, norm = projection.children()  # option B: a strided 1x1 convolution with norm, no activation
    assert (conv.kernel_size, conv.stride, type(norm)) == ((1, 1), (2, 2), nn.BatchNorm2d)


def test_skip_puts_its_input_first() -> None:
    image = torch.randn(2, 4, 6, 5)
    module = build(plan_layers({"skip": [{"conv": 8}]}, shape=(4, 6, 5)), seed=0)
    output = module(image)
    assert torch.equal(output[:, :4], image)
    torch.testing.assert_close(output[:, 4:], first(module).body(image))


@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        ({"conv": 8, "stride": 2, "repeat": 3}, [32, 32, 32]),
        ({"residual": [{"conv": 8, "stride": 2}, {"conv": 8}], "repeat": 2}, [32, 32, 32, 32, 32, 32, 32]),
        ({"skip": [{"residual": [{"conv": 8, "stride": 1}]}], "repeat": 2}, [64] * 8),
        ({"residual": [{"residual": [{"conv": 8, "stride": 2}]}], "repeat": 2}, [32] * 8),
        ({"pool": "max", "repeat": 3}, [32, 16, 8]),  # no stride is written, so each one halves
    ],
)
def test_repeat_applies_a_stride_to_the_first_repetition_only(layer: Any, rows: list[int]) -> None:
    network = plan_layers(layer, shape=(4, 64, 64))
    assert [leaf.shape[1] for leaf in network.leaves()] == rows


def test_repetitions_have_weights_of_their_own() -> None:
    network = plan_layers({"conv": 4, "repeat": 3}, shape=(4, 6, 5))
    assert network.weights == 3 * (144 + 8)
    module = build(network, seed=0)
    assert sum(p.numel() for p in module.parameters()) == network.weights
    assert [leaf.where for leaf in network.leaves()] == ["layers[0]"] * 3


def test_empty_layers_pass_the_image_on_to_the_head() -> None:
    model = {"name": "line", "norm": "none", "activation": "none", "init": "default", "layers": []}
    network = plan({**model, "head": ["flatten", {"linear": "outputs"}]}, shape=(1, 2, 2), outputs=3)
    assert build(network, seed=0)(torch.zeros(5, 1, 2, 2)).shape == (5, 3)
    assert network.output_shape == (3,)
