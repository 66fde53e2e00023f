"""U-Nets from classifiers: the paper's own encoder gives the paper's network back."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.networks.build import build
from pipeline.plans.network import Network, Structure
from pipeline.plans.view import Shape
from tests.plans.models import plan_conf, plan_lists
from tests.refusals import refused

UNET: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "conf/model/unet.yaml").read_text())

# The left half of figure 1.
ENCODER: list[Any] = [{"conv": 64, "repeat": 2}]
for width in (128, 256, 512, 1024):
    ENCODER += ["pool", {"conv": width, "repeat": 2}]
HEAD = [{"conv": "outputs", "kernel": 1}]
PLAIN = [{"conv": 4}, "pool", {"conv": 8}, "pool", {"conv": 16}]
TAIL = ["flatten", {"linear": 9}]


def unet_on(layers: list[Any], *, shape: Shape = (1, 32, 48), **changes: Any) -> Network:
    return plan_lists([], HEAD, shape=shape, outputs=2, encoder={"layers": layers}, **changes)


def rows_of(network: Network) -> list[tuple[Any, ...]]:
    return [(leaf.name, leaf.shape, leaf.weights, leaf.multiply_adds, leaf.view) for leaf in network.leaves()]


def skips_of(network: Network) -> list[tuple[int, ...]]:
    """Return the shape behind each skip, from the outermost in."""
    found, nodes = [], list(network.layers)
    while nodes:
        node = nodes.pop()
        if isinstance(node, Structure):
            found += [node.shape] if node.name == "skip" else []
            nodes += [each for branch in node.branches for each in branch]
    return found


@pytest.mark.parametrize("shape", [(1, 96, 64), (3, 32, 32)], ids=str)
def test_the_encoder_of_the_paper_gives_the_paper_s_unet(shape: Shape) -> None:
    paper = plan_conf("model=unet", shape=shape, outputs=2)
    made = unet_on(ENCODER, shape=shape)
    assert rows_of(made) == rows_of(paper)
    assert made.weights == paper.weights


def test_the_encoder_above_is_the_left_half_of_the_file() -> None:
    left, nodes = [], UNET["layers"]
    while nodes:
        skips = [node for node in nodes if isinstance(node, dict) and "skip" in node]
        left += nodes[: nodes.index(skips[0])] if skips else nodes[:2]
        nodes = skips[0]["skip"] if skips else []
    assert left == ENCODER


def test_each_level_is_a_skip_and_the_way_up_halves_the_channels() -> None:
    network = unet_on(PLAIN)
    assert [leaf.name for leaf in network.leaves()] == [
        "conv 4, 3x3",
        "pool max, 2x2 / 2",
        "conv 8, 3x3",
        "pool max, 2x2 / 2",
        "conv 16, 3x3",
        "up 8, 2x2 x 2",
        "concatenate",
        *["conv 8, 3x3"] * 2,
        "up 4, 2x2 x 2",
        "concatenate",
        *["conv 4, 3x3"] * 2,
        "conv 2, 1x1",
    ]
    assert skips_of(network) == [(4 + 4, 32, 48), (8 + 8, 16, 24)]


def test_network_that_begins_with_a_stride_skips_from_the_image_itself() -> None:
    network = unet_on([{"conv": 8, "stride": [4, 2]}])
    assert skips_of(network) == [(1 + 4, 32, 48)]
    assert [leaf.name for leaf in network.leaves()][:2] == ["conv 8, 3x3 / 4x2", "up 4, 4x2 x 4x2"]


SAME = [
    (TAIL, "flatten and linear layers"),
    (["pool", *TAIL], "a pool before them"),
    ([{"pool": "global"}, "flatten", {"linear": 9}, {"dropout": 0.5}], "the mean of each channel"),
    ([{"auxiliary": ["flatten", {"linear": "outputs"}]}, *TAIL], "an auxiliary head"),
]


@pytest.mark.parametrize("tail", [tail for tail, _ in SAME], ids=[what for _, what in SAME])
def test_what_only_a_classifier_needs_is_left_out(tail: list[Any]) -> None:
    assert rows_of(unet_on([*PLAIN, *tail])) == rows_of(unet_on(PLAIN))


def test_width_of_the_encoder_holds_on_the_way_up_without_being_applied_twice() -> None:
    half = unet_on([{"conv": 32}, "pool", {"conv": 128}], width=0.5)
    assert [leaf.shape[0] for leaf in half.leaves()] == [16, 16, 64, 32, 16 + 32, 32, 32, 2]


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "densenet121", "googlenet", "mobilenet_v3_small"])
def test_published_classifier_gives_outputs_as_large_as_the_image(name: str) -> None:
    network = plan_conf("model=unet_on", f"model@model.encoder={name}", shape=(3, 96, 128), outputs=5)
    assert network.name == f"unet_on_{name}"
    assert network.output_shape == (5, 96, 128)
    assert not list(network.side_leaves())


def test_auxiliary_heads_that_the_image_is_too_small_for_are_left_out_before_planning() -> None:
    with refused("model.layers[11].auxiliary[0]"):
        plan_conf("model=googlenet", shape=(3, 64, 96), outputs=5)
    network = plan_conf("model=unet_on", "model@model.encoder=googlenet", shape=(3, 64, 96), outputs=5)
    assert network.output_shape == (5, 64, 96)
    assert not list(network.side_leaves())


def test_built_unet_on_an_encoder_puts_out_the_planned_shape() -> None:
    network = unet_on(PLAIN, norm="batch")
    with torch.inference_mode():
        made = build(network, seed=0).eval()(torch.rand(2, 1, 32, 48))
    assert made.shape == (2, 2, 32, 48)


PLACE = "model.encoder.layers"
EVEN = "choose rows and columns of data.shape that every stride divides, and filters with padding same"
SHRINK = "choose one with strides or pools"
VALID = {"conv": 4, "padding": "valid"}
UNEVEN: list[tuple[list[Any], Shape, Shape, str]] = [
    (PLAIN, (1, 30, 48), (7, 12),
     f"{PLACE}: in model small, the encoder does not downsample 15x24 by a whole factor, got (7, 12); {EVEN}"),
    (PLAIN, (1, 32, 46), (8, 11), ""),
    ([{"conv": 4}, VALID], (1, 32, 48), (30, 46), ""),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "shape", "got", "text"), UNEVEN, ids=lambda value: str(value)[:40])
def test_encoder_whose_levels_do_not_divide_evenly_is_refused(
    layers: list[Any], shape: Shape, got: Shape, text: str
) -> None:
    with refused(PLACE, got=got, hint=EVEN, text=text):
        unet_on(layers, shape=shape)


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        (
            [{"conv": 4}, {"conv": 8}],
            f"{PLACE}: in model small, the encoder never downsamples, so a U-Net on it has no levels; {SHRINK}",
        ),
        ([{"conv": 4}, *TAIL], ""),
        ([], ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_encoder_that_never_downsamples_is_refused(layers: list[Any], text: str) -> None:
    with refused(PLACE, hint=SHRINK, text=text):
        unet_on(layers)


@pytest.mark.parametrize("encoder", [{"layers": []}, {"layers": PLAIN}], ids=lambda value: str(value)[:40])
def test_encoder_leaves_no_layers_to_the_model(encoder: Any) -> None:
    with refused(
        "model.layers", allowed="empty if model.encoder is set", hint="choose an encoder by model=unet_on"
    ):
        plan_lists(PLAIN, HEAD, shape=(1, 32, 48), encoder=encoder)


@pytest.mark.parametrize("encoder", [{"layers": 3}, {}, None, 3], ids=str)
def test_encoder_needs_its_own_list(encoder: Any) -> None:
    with refused(
        "model.encoder", got=encoder, allowed="a network with a list of layers", hint="model=unet_on"
    ):
        plan_lists([], HEAD, shape=(1, 32, 48), encoder=encoder)


@pytest.mark.parametrize(("stride", "cells"), [(1, (32, 48)), (2, (16, 24)), (4, (8, 12))])
def test_layers_of_an_encoder_end_at_the_stride_of_a_grid(stride: int, cells: tuple[int, int]) -> None:
    layers = [{"conv": 4}, "pool", {"conv": 8}, "pool", {"conv": 16}, "flatten", {"linear": 10}]
    network = unet_on(layers, stride=stride)
    assert network.layers[-1].shape[1:] == cells
    assert len(network.layers) == {1: 1, 2: 3, 4: 5}[stride]


@pytest.mark.parametrize("stride", [3, 8, 0, "4"])
def test_stride_that_no_map_of_the_encoder_has_is_refused(stride: Any) -> None:
    with refused("model.stride", got=stride):
        unet_on([{"conv": 4}, "pool", {"conv": 8}], stride=stride)
