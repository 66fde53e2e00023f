"""Composites: which lists they stand for."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.networks.models import build_layers, layer_of, plan_layers

MAP = (4, 6, 5)


def names_of(*layers: Any, **changes: Any) -> list[str]:
    """Return the names of the layers that a list comes to."""
    return [leaf.name for leaf in plan_layers(*layers, shape=MAP, **changes).leaves()]


def activations_of(*layers: Any, **changes: Any) -> list[type[nn.Module]]:
    """Return the class of the last module of each filter, depth first: its activation, or its norm."""
    module = build_layers(*layers, shape=MAP, **changes)
    chains = [each for each in module.modules() if isinstance(each, nn.Sequential)]
    return [type(each[-1]) for each in chains if isinstance(each[0], nn.Conv2d)]


def test_separable_filters_each_channel_then_mixes_the_channels() -> None:
    assert names_of({"separable": 8, "kernel": 5, "stride": 2}) == ["depthwise 4, 5x5 / 2", "conv 8, 1x1"]
    assert activations_of({"separable": 8}) == [nn.ReLU, nn.ReLU]
    assert activations_of({"separable": 8, "activation": "tanh"}) == [nn.Tanh, nn.Tanh]


def test_subpixel_convolves_to_maps_for_each_pixel_without_norm_and_activation() -> None:
    assert names_of({"subpixel": 3, "factor": 3, "kernel": 5}) == ["conv 27, 5x5", "pixel shuffle x 3"]
    assert names_of({"subpixel": "outputs"}, outputs=7) == ["conv 28, 3x3", "pixel shuffle x 2"]
    assert names_of({"subpixel": 16}, width=0.5) == ["conv 32, 3x3", "pixel shuffle x 2"]
    layers = build_layers({"subpixel": 3}, shape=MAP).get_submodule("layers")
    assert [type(each) for each in layers.modules() if not list(each.children())] == [
        nn.Conv2d,
        nn.PixelShuffle,
    ]


def test_inverted_residual_widens_filters_and_narrows_without_activation() -> None:
    block = {"inverted_residual": 8, "kernel": 5, "stride": 2}
    assert names_of(block) == ["conv 24, 1x1", "depthwise 24, 5x5 / 2", "conv 8, 1x1"]
    assert activations_of(block) == [nn.ReLU, nn.ReLU, nn.BatchNorm2d]
    silu = {**block, "activation": "silu"}
    assert activations_of(silu) == [nn.SiLU, nn.SiLU, nn.BatchNorm2d]


@pytest.mark.parametrize(
    ("options", "inner"),
    [({}, 24), ({"expand": 2.5}, 10), ({"expand": 1}, None), ({"hidden": 20}, 20), ({"hidden": 4}, None)],
)
def test_inverted_residual_leaves_out_a_convolution_that_would_not_widen(
    options: dict[str, Any], inner: int | None
) -> None:
    widened = [] if inner is None else [f"conv {inner}, 1x1"]
    expected = [*widened, f"depthwise {inner or 4}, 3x3", "conv 8, 1x1"]
    assert names_of({"inverted_residual": 8, **options}) == expected


def test_inverted_residual_squeezes_behind_the_depthwise_filter() -> None:
    names = names_of({"inverted_residual": 8, "expand": 2, "squeeze": {"squeeze_excite": 4}})
    squeeze = ["pool global", "conv 2, 1x1", "conv 8, 1x1", "multiply"]
    assert names == ["conv 8, 1x1", "depthwise 8, 3x3", *squeeze, "conv 8, 1x1"]


@pytest.mark.parametrize(
    ("block", "adds"),
    [
        ({"inverted_residual": 4}, True),
        ({"inverted_residual": 4, "stride": [1, 1]}, True),
        ({"inverted_residual": 4, "stride": 2}, False),
        ({"inverted_residual": 4, "stride": [1, 2]}, False),
        ({"inverted_residual": 6}, False),
    ],
    ids=str,
)
def test_inverted_residual_adds_its_input_where_it_fits_and_drops_its_path_there_only(
    block: dict[str, Any], adds: bool
) -> None:
    assert names_of({**block, "drop_path": 0.2})[3:] == (["drop path 0.2", "add"] if adds else [])
    assert names_of(block)[3:] == (["add"] if adds else [])


def test_sum_of_an_inverted_residual_has_no_activation() -> None:
    image = torch.randn(2, *MAP)
    module = build_layers({"inverted_residual": 4}, shape=MAP).eval()
    block = layer_of(module)
    torch.testing.assert_close(module(image), block.body(image) + image)


def test_inception_is_the_row_of_the_papers_table() -> None:
    names = names_of({"inception": [64, 96, 128, 16, 32, 32]})  # 3a of table 1, in its order
    filters = ["conv 64, 1x1", "conv 96, 1x1", "conv 128, 3x3", "conv 16, 1x1", "conv 32, 5x5"]
    assert names == [*filters, "pool max, 3x3 / 1", "conv 32, 1x1", "concatenate"]
    assert "conv 32, 3x3" in names_of({"inception": [64, 96, 128, 16, 32, 32], "kernel": 3})


def test_place_inside_a_composite_names_it() -> None:
    network = plan_layers({"residual": [{"separable": 4}]}, shape=MAP)
    assert [leaf.where for leaf in network.leaves()] == [
        "layers[0].residual[0].separable[0]", "layers[0].residual[0].separable[1]", "layers[0]",
    ]  # fmt: skip
