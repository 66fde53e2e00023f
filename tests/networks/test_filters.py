"""Shapes and receptive fields of filters, against torch itself: its outputs and its gradients."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.networks.build import build
from pipeline.plans.network import Network
from pipeline.plans.view import Shape
from tests.networks import models
from tests.refusals import refused


def plan_layers(layers: list[Any], shape: Shape) -> Network:
    """Plan layers that only add up: every weight is 1, so that no gradient cancels."""
    return models.plan_layers(
        *layers, shape=shape, norm="none", activation="none", init={"constant": 1.0}, outputs=2
    )


def seen_rows_and_columns(network: Network, *, around: int = 1) -> tuple[int, int]:
    """Return the largest extent of the pixels that move one of the outputs around the centre."""
    module = build(network, seed=0).double()
    image = torch.ones(1, *network.shape, dtype=torch.double, requires_grad=True)
    output = module(image)[0].sum(dim=0)
    extents = []
    for row in range(output.shape[0] // 2, output.shape[0] // 2 + around):
        for column in range(output.shape[1] // 2, output.shape[1] // 2 + around):
            (gradient,) = torch.autograd.grad(output[row, column], image, retain_graph=True)
            moved = gradient[0, 0] != 0
            rows, columns = moved.any(dim=1), moved.any(dim=0)
            first, last = rows.nonzero().aminmax()
            left, right = columns.nonzero().aminmax()
            assert moved[first : last + 1, left : right + 1].all(), "a field has no holes"
            extents.append((int(last - first) + 1, int(right - left) + 1))
    return max(extents)


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    """A convolution or average pool that leaves no holes, with other rows than columns."""
    kernel = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    stride = [draw(st.integers(1, kernel[0])), draw(st.integers(1, kernel[1]))]
    kind = draw(st.sampled_from([{"conv": 1, "padding": "valid"}, {"pool": "avg"}]))
    return {**kind, "kernel": kernel, "stride": stride}


@settings(deadline=None, max_examples=30)
@given(st.lists(filters(), min_size=1, max_size=4))
def test_centre_output_moves_with_exactly_the_pixels_of_its_field(layers: list[dict[str, Any]]) -> None:
    try:
        network = plan_layers(layers, (1, 61, 53))
    except ConfigError:
        assume(False)  # deeper than the image is large
    *_, last = network.leaves()
    assert seen_rows_and_columns(network) == last.view.field


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ([{"conv": 1}, {"conv": 1}, {"conv": 1}], 7),  # three 3x3 see 7x7 (Simonyan and Zisserman 2015)
        ([{"conv": 1, "kernel": 7, "stride": 2}, {"pool": "avg", "kernel": 3, "stride": 2}], 11),
        ([{"pool": "avg"}, {"conv": 1}, {"up": 1}, {"conv": 1}], 8),
        ([{"conv": 1}, {"skip": [{"pool": "avg"}, {"conv": 1}, {"up": 1}]}, {"conv": 1}], 10),
        ([{"conv": 1}, {"residual": [{"conv": 1}, {"conv": 1}]}], 7),
        ([{"up": 1, "kernel": 4, "stride": 2}], 2),
        ([{"resize": 2}], 1),
        ([{"conv": 1}, {"resize": 2}, {"conv": 1}], 4),  # two of the three rows are copies of one
        ([{"conv": 1}, {"resize": 2, "mode": "bilinear"}, {"conv": 1}], 5),
        ([{"pool": "avg"}, {"resize": 2, "mode": "bilinear"}], 4),
        ([{"up": 1}, {"conv": 1}, {"conv": 1}], 3),
        ([{"up": 1, "kernel": 5, "stride": 3}, {"conv": 1}], 3),
        ([{"up": 1, "kernel": 4, "stride": 4}, {"conv": 1}], 2),
        ([{"up": 1, "kernel": 4, "stride": 4}, {"conv": 1, "repeat": 2}], 2),
        ([{"resize": 3}, {"conv": 1}], 2),
        ([{"resize": 4, "mode": "bilinear"}, {"conv": 1}], 3),
        ([{"up": 1}, {"conv": 1, "kernel": 2, "padding": 0}], 2),
        ([{"branches": [[{"conv": 1, "kernel": 1}], [{"conv": 1, "kernel": 5}]]}, {"conv": 1}], 7),
        ([{"residual": [{"conv": 1, "kernel": 1}], "shortcut": [{"conv": 1}]}], 3),  # the wider way counts
    ],
)
def test_field_of_known_stacks(layers: list[Any], field: int) -> None:
    network = plan_layers(layers, (1, 40, 40))
    *_, last = network.leaves()
    assert last.view.pixels == (field, field) == seen_rows_and_columns(network, around=4)


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ([{"resize": [2, 3]}, {"conv": 1}], (2, Fraction(5, 3))),
        ([{"up": 1, "kernel": 4, "stride": 4}, {"conv": 1, "repeat": 3}], (Fraction(5, 2), Fraction(5, 2))),
        ([{"resize": 3}, {"conv": 1, "repeat": 3}], (3, 3)),  # no third is lost on the way
        ([{"resize": 7}, {"conv": 1, "kernel": 2, "padding": 0, "repeat": 7}], (2, 2)),
    ],
)
def test_field_by_the_formula_is_an_exact_fraction(layers: list[Any], field: Any) -> None:
    *_, last = plan_layers(layers, (1, 20, 20)).leaves()
    assert last.view.field == field


def test_field_is_never_larger_than_the_image() -> None:
    network = plan_layers([{"conv": 1, "kernel": 5, "repeat": 9}, {"pool": "global"}], (1, 20, 30))
    fields = [leaf.view.pixels for leaf in network.leaves()]
    assert fields[:5] == [(5, 5), (9, 9), (13, 13), (17, 17), (20, 21)]
    assert fields[8] == (20, 30)  # 37 pixels without the border
    assert fields[9] == (20, 30)


def has_output(item: dict[str, Any], channels: int, sides: list[int]) -> bool:
    """Tell whether torch itself can apply the filter."""
    window = {key: item[key] for key in ("kernel", "stride", "padding")}
    window["kernel_size"] = window.pop("kernel")
    module = torch.nn.Conv2d(channels, 1, **window) if "conv" in item else torch.nn.AvgPool2d(**window)
    try:
        module(torch.zeros(1, channels, *sides))
    except RuntimeError:
        return False
    return True


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from([{"conv": 2}, {"pool": "max"}, {"pool": "avg"}]),
    sides=st.lists(st.integers(1, 9), min_size=2, max_size=2),
    kernel=st.lists(st.integers(1, 5), min_size=2, max_size=2),
    stride=st.lists(st.integers(1, 4), min_size=2, max_size=2),
    padding=st.lists(st.integers(0, 2), min_size=2, max_size=2),
)
def test_planned_shape_is_that_of_torch_and_so_is_the_refusal(
    kind: dict[str, Any], sides: list[int], kernel: list[int], stride: list[int], padding: list[int]
) -> None:
    assume("conv" in kind or all(p <= k // 2 for p, k in zip(padding, kernel, strict=True)))
    item = {**kind, "kernel": kernel, "stride": stride, "padding": padding}
    if not has_output(item, 3, sides):
        with refused("model.layers[0]", hint="use a larger image (data.shape)"):
            plan_layers([item], (3, *sides))
        return
    network = plan_layers([item], (3, *sides))
    output = build(network, seed=0)(torch.zeros(2, 3, *sides))
    assert output.shape == (2, *network.output_shape)


@settings(deadline=None, max_examples=30)
@given(
    sides=st.lists(st.integers(1, 6), min_size=2, max_size=2),
    stride=st.lists(st.integers(1, 3), min_size=2, max_size=2),
    more=st.lists(st.integers(0, 2), min_size=2, max_size=2),
)
def test_planned_shape_of_an_up_convolution_is_that_of_torch(
    sides: list[int], stride: list[int], more: list[int]
) -> None:
    kernel = [s + m for s, m in zip(stride, more, strict=True)]
    network = plan_layers([{"up": 4, "kernel": kernel, "stride": stride}], (3, *sides))
    assert build(network, seed=0)(torch.zeros(2, 3, *sides)).shape == (2, *network.output_shape)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, [3, 5]])
def test_padding_same_keeps_rows_and_columns(kernel: Any) -> None:
    assert plan_layers([{"conv": 2, "kernel": kernel}], (3, 10, 11)).output_shape == (2, 10, 11)
