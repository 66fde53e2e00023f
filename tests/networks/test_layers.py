"""One row per kind of layer: shape, weights and multiply-adds counted by hand, then built and run."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from pipeline.networks.build import build
from pipeline.networks.composites import COMPOSITES
from pipeline.networks.leaves import LEAVES
from pipeline.networks.structures import LAYERS, STRUCTURES
from pipeline.plans.view import Shape
from tests.networks.models import build_layers, count, image_of, name_of, plan_layers


@dataclass(frozen=True)
class Row:
    layer: Any
    shape: Shape  # of the input
    output: Shape
    weights: int
    multiply_adds: int
    side_weights: int = 0  # of auxiliary heads


CHOSEN = [[0], [0, 1], [1, 2, 3]]  # for each of three filters, the channels that it sees: six in all
MBCONV = {"inverted_residual": 4, "expand": 2}  # 4 channels -> 8 -> 4
SE = 4 * 2 + 2 + 2 * 4 + 4  # 4 channels -> 2 -> 4
GATE = 8 * 2 + 2 + 2 * 8 + 8  # 8 channels -> 2 -> 8

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
    Row({"conv": 8, "kernel": 2, "padding": [0, 1]},     (4, 6, 5),   (8, 5, 6),   128 + 16,    30 * 128),
    Row({"conv": "outputs", "kernel": 1},                (4, 6, 5),   (10, 6, 5),  40 + 10,     30 * 40),
    Row({"conv": 3, "wiring": CHOSEN},                   (4, 6, 5),   (3, 6, 5),   54 + 6,      30 * 54),
    Row({"conv": 3, "wiring": CHOSEN, "norm": "none", "stride": 2},
                                                         (4, 6, 5),   (3, 3, 3),   54 + 3,      9 * 54),
    Row({"conv": 8, "activation": "prelu"},              (4, 6, 5),   (8, 6, 5),   304 + 8,     30 * 288),
    Row({"conv": 8, "activation": {"maxout": 2}},        (4, 6, 5),   (8, 6, 5),   576 + 32,    30 * 576),
    Row({"depthwise": None},                             (4, 6, 5),   (4, 6, 5),   36 + 8,      30 * 36),
    Row({"depthwise": 5, "multiplier": 2, "stride": 2},  (4, 6, 5),   (8, 3, 3),   200 + 16,    9 * 200),
    Row({"depthwise": [1, 3], "norm": "none", "padding": "valid"},
                                                         (4, 6, 5),   (4, 6, 3),   12 + 4,      18 * 12),
    Row({"up": 2},                                       (4, 6, 5),   (2, 12, 10), 32 + 2,      30 * 32),
    Row({"up": 2, "kernel": 3, "norm": "batch"},         (4, 6, 5),   (2, 13, 11), 72 + 4,      30 * 72),
    Row({"up": 2, "kernel": [1, 4], "stride": [1, 3], "bias": False},
                                                         (4, 6, 5),   (2, 6, 16),  32,          30 * 32),
    Row("pool",                                          (4, 6, 5),   (4, 3, 2),   0,           0),
    Row({"pool": "avg", "kernel": 3, "stride": 1},       (4, 6, 5),   (4, 4, 3),   0,           0),
    Row({"pool": "max", "kernel": 3, "padding": 1},      (4, 6, 5),   (4, 2, 2),   0,           0),
    Row({"pool": "global"},                              (4, 6, 5),   (4, 1, 1),   0,           0),
    Row({"pool": "adaptive", "bins": [2, 3]},            (4, 6, 5),   (4, 2, 3),   0,           0),
    Row({"linear": 3},                                   (7,),        (3,),        21 + 3,      21),
    Row({"linear": "outputs", "bias": False},            (7,),        (10,),       70,          70),
    Row({"linear": 3, "norm": "batch"},                  (7,),        (3,),        21 + 6,      21),
    Row({"linear": 3, "activation": {"maxout": 4}},      (7,),        (3,),        84 + 12,     84),
    Row("flatten",                                       (4, 6, 5),   (120,),      0,           0),
    Row({"dropout": 0.2},                                (4, 6, 5),   (4, 6, 5),   0,           0),
    Row("dropout",                                       (7,),        (7,),        0,           0),
    Row({"drop_path": 0.2},                              (4, 6, 5),   (4, 6, 5),   0,           0),
    Row("lrn",                                           (4, 6, 5),   (4, 6, 5),   0,           0),
    Row("scale",                                         (4, 6, 5),   (4, 6, 5),   4,           0),
    Row("resize",                                        (4, 6, 5),   (4, 12, 10), 0,           0),
    Row({"resize": [3, 1], "mode": "bilinear"},          (4, 6, 5),   (4, 18, 5),  0,           0),
    Row("pixel_shuffle",                                 (4, 6, 5),   (1, 12, 10), 0,           0),
    Row({"pixel_shuffle": 3},                            (9, 6, 5),   (1, 18, 15), 0,           0),
    Row("edge",                                          (4, 6, 5),   (8, 6, 5),   0,           8 * 30 * 9),
    Row({"edge": "sobel", "direction": "up", "padding": "valid"},
                                                         (4, 6, 5),   (4, 4, 3),   0,           4 * 12 * 9),
    Row({"conv": 8, "dilation": 2},                      (4, 6, 5),   (8, 6, 5),   9 * 4 * 8 + 16,  30 * 9 * 4 * 8),
    Row({"conv": 8, "dilation": [2, 1], "padding": "valid"},
                                                         (4, 6, 5),   (8, 2, 3),   9 * 4 * 8 + 16,  6 * 9 * 4 * 8),
    Row("norm",                                          (4, 6, 5),   (4, 6, 5),   8,           0),
    Row({"norm": {"group": 2}},                          (4, 6, 5),   (4, 6, 5),   8,           0),
    Row({"norm": "none"},                                (4, 6, 5),   (4, 6, 5),   0,           0),
    Row("activation",                                    (4, 6, 5),   (4, 6, 5),   0,           0),
    Row({"activation": {"leaky_relu": 0.2}},             (7,),        (7,),        0,           0),
    Row({"activation": {"maxout": 2}},                   (4, 6, 5),   (2, 6, 5),   0,           0),
    Row({"activation": "prelu"},                         (7,),        (7,),        7,           0),
    Row({"pixels": 0.2, "mean": 0.5},                    (4, 6, 5),   (4, 6, 5),   120,         0),
    Row({"module": "torch.nn.PixelShuffle", "upscale_factor": 2},
                                                         (4, 6, 5),   (1, 12, 10), 0,           0),
    Row({"module": "torch.nn.Linear", "in_features": 7, "out_features": 3},
                                                         (7,),        (3,),        21 + 3,      0),  # not counted
    Row({"residual": [{"conv": 4}]},                     (4, 6, 5),   (4, 6, 5),   144 + 8,     30 * 144),
    Row({"residual": [{"conv": 8, "stride": 2}]},        (4, 6, 5),   (8, 3, 3),
        288 + 16 + 32 + 16,  9 * 288 + 9 * 32),                                    # and its projection
    Row({"residual": [{"conv": 8, "stride": 2}], "shortcut": "pad"},
                                                         (4, 6, 5),   (8, 3, 3),   288 + 16,    9 * 288),
    Row({"residual": [{"conv": 4}], "shortcut": [{"conv": 4, "kernel": 1}], "activation": "prelu"},
                                                         (4, 6, 5),   (4, 6, 5),   152 + 24 + 4, 30 * 160),
    Row({"residual": [{"linear": 7}]},                   (7,),        (7,),        49 + 7,      49),
    Row({"skip": [{"conv": 8}]},                         (4, 6, 5),   (12, 6, 5),  288 + 16,    30 * 288),
    Row({"skip": [{"conv": 8, "padding": "valid"}], "crop": True},
                                                         (4, 6, 5),   (12, 4, 3),  288 + 16,    12 * 288),
    Row({"branches": [[{"conv": 3}], ["pool", {"up": 5}], ["norm"]]},
                                                         (4, 6, 4),   (12, 6, 4),
        108 + 6 + 80 + 5 + 8, 24 * 108 + 6 * 80),
    Row({"branches": [[{"linear": 3}], [{"linear": 2}]]}, (7,),       (5,),        35 + 5,      35),
    Row({"squeeze_excite": 2},                           (4, 6, 5),   (4, 6, 5),   SE,          16),
    Row({"auxiliary": [{"conv": 4}]},                    (4, 6, 5),   (4, 6, 5),   0,           0, 144 + 8),
    Row({"separable": 8},                                (4, 6, 5),   (8, 6, 5),
        36 + 8 + 32 + 16,             30 * (36 + 32)),
    Row({"separable": 8, "kernel": 5, "stride": 2},      (4, 6, 5),   (8, 3, 3),
        100 + 8 + 32 + 16,            9 * (100 + 32)),
    Row(MBCONV,                                          (4, 6, 5),   (4, 6, 5),
        32 + 16 + 72 + 16 + 32 + 8,   30 * (32 + 72 + 32)),
    Row({**MBCONV, "squeeze": {"squeeze_excite": 4}},    (4, 6, 5),   (4, 6, 5),
        32 + 16 + 72 + 16 + GATE + 32 + 8,  30 * (32 + 72 + 32) + 32),
    Row({"inverted_residual": 6, "stride": 2, "kernel": 5}, (4, 6, 5),  (6, 3, 3),  # 4 channels -> 24 -> 6
        96 + 48 + 600 + 48 + 144 + 12,  30 * 96 + 9 * (600 + 144)),
    Row({"inverted_residual": 6, "hidden": 4},           (4, 6, 5),   (6, 6, 5),     # nothing to widen
        36 + 8 + 24 + 12,             30 * (36 + 24)),
    Row({"subpixel": 3},                                 (4, 6, 5),   (3, 12, 10), 9 * 4 * 12 + 12,  30 * 9 * 4 * 12),
    Row({"inception": [2, 3, 4, 5, 2, 7]},               (4, 6, 5),   (15, 6, 5),
        8 + 12 + 108 + 20 + 250 + 28 + 2 * 23,  30 * (8 + 12 + 108 + 20 + 250 + 28)),
    Row({"inception": [2, 3, 4, 5, 2, 7], "kernel": 3},  (4, 6, 5),   (15, 6, 5),
        8 + 12 + 108 + 20 + 90 + 28 + 2 * 23,   30 * (8 + 12 + 108 + 20 + 90 + 28)),
]  # fmt: skip

EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.layer))


def test_every_kind_of_layer_has_its_row() -> None:
    assert {name_of(row.layer) for row in ROWS} == LAYERS.keys()


def test_no_two_kinds_of_layer_share_a_name() -> None:
    assert len(LAYERS) == len(LEAVES) + len(STRUCTURES) + len(COMPOSITES)


def test_every_kind_of_layer_tells_what_it_does() -> None:
    assert [name for name, made in LAYERS.items() if not (made.__doc__ or "").split(".")[0].strip()] == []


@EACH
def test_layer_has_the_shape_and_cost_counted_by_hand(row: Row) -> None:
    network = plan_layers(row.layer, shape=row.shape)
    assert network.output_shape == row.output
    assert (network.weights, network.multiply_adds) == (row.weights, row.multiply_adds)
    assert sum(leaf.weights for leaf in network.side_leaves()) == row.side_weights


@EACH
def test_built_layer_has_the_planned_shape_and_weights(row: Row) -> None:
    network = plan_layers(row.layer, shape=row.shape)
    module = build(network, seed=0)
    assert count(module) == row.weights + row.side_weights
    images = torch.randn(2, *image_of(row.shape))
    assert module(images).shape == (2, *row.output)
    assert module.eval()(images[:1]).shape == (1, *row.output)


@pytest.mark.parametrize("row", [row for row in ROWS if row.weights], ids=lambda row: str(row.layer))
def test_every_weight_of_a_layer_has_a_say_in_its_output(row: Row) -> None:
    torch.manual_seed(0)
    module = build_layers(row.layer, shape=row.shape, activation="none").double().eval()
    module(torch.randn(3, *image_of(row.shape), dtype=torch.double)).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_repetitions_have_weights_of_their_own() -> None:
    network = plan_layers({"conv": 4, "repeat": 3}, shape=(4, 6, 5))
    assert network.weights == 3 * (144 + 8) == count(build(network, seed=0))
    assert [leaf.where for leaf in network.leaves()] == ["layers[0]"] * 3


def test_empty_layers_pass_the_image_on_to_the_head() -> None:
    network = plan_layers(shape=(1, 2, 2), head=["flatten", {"linear": "outputs"}], outputs=3)
    assert build(network, seed=0)(torch.zeros(5, 1, 2, 2)).shape == (5, 3)
    assert network.output_shape == (3,)
