"""Receptive fields, against the extent of torch's gradients: of every network in conf/, and of random ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.networks.build import build
from pipeline.plans.network import Network
from tests.networks import models
from tests.plans.models import plan_conf

KEPT = (
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.Linear,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Upsample,
    nn.Flatten,
    nn.PixelShuffle,
)
POSITIVE = ("WiredConv2d", "Scale", "PadChannels", "Edges")


def linear(module: nn.Module) -> nn.Module:
    """Make a network a sum of its inputs with positive weights, so that every connection has a gradient."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            window = (child.kernel_size, child.stride, child.padding)
            setattr(module, name, nn.AvgPool2d(*window))
        elif (
            not isinstance(child, KEPT)
            and not list(child.children())
            and type(child).__name__ not in POSITIVE
        ):
            setattr(module, name, nn.Identity())
        else:
            linear(child)
    for weight in module.parameters(recurse=False):
        weight.data.fill_(1 / max(1, weight[0].numel()))
    module.register_full_backward_hook(lambda _, inputs, __: tuple(map(_signs, inputs)))
    return module


def _signs(gradient: Tensor | None) -> Tensor | None:
    """Replace a gradient by where it is not zero, as the products of a deep network would vanish.

    Bilinear interpolation in single precision gives inputs that it should not need weights of about 1e-8.
    """
    return None if gradient is None else (gradient > 1e-6).to(gradient)


def seen(module: nn.Module, shape: tuple[int, ...], row: int, column: int) -> tuple[tuple[int, int], ...]:
    """Return the first and last row, and column, of the pixels that move an output."""
    image = torch.ones(1, *shape, requires_grad=True)
    module(image)[0, :, row, column].sum().backward()
    assert image.grad is not None
    moved = image.grad[0].abs().sum(dim=0) > 0
    ends = [moved.any(dim=axis).nonzero() for axis in (1, 0)]
    return tuple((int(end.min()), int(end.max())) if len(end) else (0, -1) for end in ends)


def check(network: Network, module: nn.Module, places: list[tuple[float, float]]) -> None:
    """Compare what elements of the last map see with what its plan says.

    Args:
        module: computes that map.
        places: of the elements, from 0 to 1 along rows and columns.
    """
    *_, last = network.layers
    for place in places:
        index = [min(int(share * side), side - 1) for share, side in zip(place, last.shape[1:], strict=True)]
        said = tuple(
            (max(axis.spans[at][0], 0), min(axis.spans[at][1], axis.size - 1))
            for axis, at in zip(last.view.axes, index, strict=True)
        )
        assert all(a <= b for a, b in said)
        found = seen(module, network.shape, *index)
        assert found == said, (index, last.view.pixels)
        pixels = [b - a + 1 for a, b in found]
        assert all(one <= most for one, most in zip(pixels, last.view.pixels, strict=True))


MAPS = {  # model -> rows and columns of an image
    "alexnet": 227, "convnext_tiny": 96, "densenet121": 96, "efficientnet_b0": 96, "googlenet": 128,
    "mobilenet_v1": 96, "mobilenet_v3_small": 96, "nin": 160, "plain34": 160, "preact_resnet18": 160, "resnet20": 96,
    "resnet50": 96, "resnext50_32x4d": 64, "squeezenet": 160, "unet": 96, "unet_small": 96, "vgg11": 224, "fcn": 96,
    "lenet5_1998": 32, "conv_mnist": 28,
}  # fmt: skip
AS_WIDE = ("lenet5_1998", "resnext50_32x4d")  # tables of wires, and groups


@pytest.mark.parametrize(("name", "side"), MAPS.items(), ids=MAPS)
def test_network_sees_what_its_gradients_say(name: str, side: int) -> None:
    """Up to its last map: behind it, every element of a classifier sees everything."""
    narrow = [] if name in AS_WIDE else ["model.width=0.1"]
    overrides = [f"model={name}", *narrow]
    network = plan_conf(*overrides, shape=(3, side, side), outputs=3)
    count = next((i for i, node in enumerate(network.layers) if len(node.shape) == 1), len(network.layers))
    network = Network(network.name, network.shape, network.outputs, network.layers[:count], ())
    module = linear(build(network, seed=0).get_submodule("layers")).eval()
    check(network, module, [(0.5, 0.5), (0.1, 0.6)])


@pytest.mark.parametrize(
    ("name", "side", "pixels"), [("vgg11", 224, 150), ("alexnet", 355, 227)], ids=["vgg11", "alexnet"]
)
def test_bins_of_a_classifier_see_parts_of_the_image(name: str, side: int, pixels: int) -> None:
    """As measured by gradients on 2026-11-25."""
    network = plan_conf(f"model={name}", shape=(3, side, side), outputs=3)
    (bins,) = [leaf for leaf in network.leaves() if "adaptive" in leaf.name]
    assert bins.view.pixels == (pixels, pixels)


def layers() -> st.SearchStrategy[dict[str, Any]]:
    """Return layers that change what an element sees."""
    sides = st.integers(1, 4)
    pair = st.tuples(sides, sides).map(list)
    window = st.fixed_dictionaries(
        {"kernel": pair, "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)).map(list)}
    )
    return st.one_of(
        window.map(lambda each: {"conv": 1, "padding": "valid", **each}),
        st.sampled_from([3, 5]).map(lambda kernel: {"conv": 1, "kernel": kernel, "padding": "same"}),
        st.tuples(st.sampled_from([3, 5]), st.integers(1, 3)).map(
            # Where a dilated filter reaches over the border, a pixel between its weights may be the first.
            lambda each: {"conv": 1, "kernel": each[0], "dilation": each[1], "padding": "valid"}
        ),
        window.map(lambda each: {"pool": "avg", **each}),
        st.integers(1, 5).map(lambda bins: {"pool": "adaptive", "bins": bins}),
        st.tuples(sides, st.integers(0, 2)).map(
            lambda each: {"up": 1, "kernel": each[0] + each[1], "stride": each[0]}
        ),
        st.tuples(st.integers(2, 4), st.sampled_from(["nearest", "bilinear"])).map(
            lambda each: {"resize": each[0], "mode": each[1]}
        ),
        st.just({"subpixel": 1}),
        st.just({"residual": [{"conv": 1}, {"conv": 1}]}),
        st.just({"skip": [{"pool": "avg"}, {"conv": 1, "kernel": 5}, {"up": 1}]}),
        st.just({"branches": [[{"conv": 1, "kernel": 1}], [{"conv": 1, "kernel": 5}]]}),
    )


@settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.lists(layers(), min_size=1, max_size=5), st.floats(0, 1), st.floats(0, 1), st.integers(12, 40))
def test_random_networks_see_what_their_gradients_say(
    items: list[dict[str, Any]], row: float, column: float, side: int
) -> None:
    try:
        network = models.plan_layers(
            *items, shape=(1, side, side + 3), norm="none", activation="none", outputs=2
        )
    except ConfigError:
        assume(False)  # a window does not fit
    *_, last = network.layers
    assume(max(last.shape[1:]) <= 120)
    inside = [
        [i for i, (a, b) in enumerate(axis.spans) if a >= 0 and b < axis.size] for axis in last.view.axes
    ]
    assume(all(inside))  # at the border, elements that would see more do not exist
    place = [
        (each[int(share * (len(each) - 1))] + 0.5) / side
        for each, share, side in zip(inside, (row, column), last.shape[1:], strict=True)
    ]
    check(network, linear(build(network, seed=0).get_submodule("layers")).eval(), [(place[0], place[1])])
