"""Formulas: what a student works out from the text is the number of the plan."""

import re
from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.plans.explain import formulas, notes
from pipeline.plans.network import Leaf, Network
from pipeline.plans.view import View
from tests.plans.models import plan_conf, plan_lists

FIELD = re.compile(r"(.+ = \S+?)(?:, cut to the image's (\d+)|, in up to (\d+) pixels)?; jump (.+ = .+)")


def work_out(text: str) -> Fraction:
    """Work out an expression by Python's arithmetic on fractions."""
    assert re.fullmatch(r"(floor\(|[\d+*/() -])+", text), f"not arithmetic: {text}"
    names = {"Fraction": Fraction, "floor": floor}
    return Fraction(eval(re.sub(r"\d+", r"Fraction(\g<0>)", text), names))


def result_of(equation: str) -> Fraction:
    """Return the right side of an equation, which must be true."""
    left, right = equation.split(" = ")
    result = Fraction(right.replace(",", ""))
    assert work_out(left) == result, equation
    return result


def check_field(text: str, view: View, axis: int) -> None:
    """Hold the formula of a receptive field against the view behind its layer."""
    parts = FIELD.fullmatch(text)
    assert parts, text
    reach, cut, pixels, jump = parts.groups()
    field, size = view.field[axis], view.image[axis]
    assert min(result_of(reach), size) == field
    assert view.pixels[axis] == Fraction(cut or pixels or result_of(reach))
    assert cut is None or result_of(reach) > int(cut) == size
    assert result_of(jump) == view.jump[axis]


def check_leaf(leaf: Leaf) -> set[str]:
    """Hold every formula of a layer against its numbers; return what was explained."""
    lines = formulas(leaf)
    said = dict(lines)
    assert len(said) == len(lines)
    if "output" in said:
        sides = [result_of(each) for each in said["output"].split(" x ")]
        made = leaf.shape if len(leaf.shape) == 1 else leaf.shape[1:]
        assert tuple(sides * (len(made) // len(sides))) == made
    if "receptive field" in said:
        by_axis = said["receptive field"].split(" x ")
        for axis in range(2):
            check_field(by_axis[axis % len(by_axis)], leaf.view, axis)
    for quantity, count in (("weights", leaf.weights), ("multiply-adds", leaf.multiply_adds)):
        assert (quantity in said) == (count > 0)
        assert quantity not in said or result_of(said[quantity]) == count
    assert leaf.window is None or said.keys() >= {"output", "receptive field"}
    return set(said)


def check_network(network: Network) -> set[str]:
    quantities = [check_leaf(leaf) for leaf in (*network.leaves(), *network.side_leaves())]
    return set().union(*quantities)


CONF = [
    ("unet_small", (1, 96, 64), 3),
    ("lenet5", (1, 32, 32), 10),
    ("lenet5_1998", (1, 32, 32), 10),
    ("resnet18", (3, 224, 224), 1000),
    ("alexnet", (3, 224, 224), 1000),
    ("googlenet", (3, 224, 160), 10),
    ("mobilenet_v2", (3, 64, 96), 10),
    ("densenet121", (3, 64, 64), 10),
    ("efficientnet_b0", (3, 224, 224), 1000),
]


@pytest.mark.parametrize(("name", "shape", "outputs"), CONF, ids=[name for name, *_ in CONF])
def test_every_formula_of_a_network_gives_the_number_of_its_plan(name: str, shape: Any, outputs: int) -> None:
    network = plan_conf(f"model={name}", shape=shape, outputs=outputs)
    assert check_network(network) == {"output", "weights", "multiply-adds", "receptive field"}


LISTS: list[list[Any]] = [
    [{"conv": 8, "kernel": [3, 5], "stride": [2, 1], "padding": [0, 2]}],
    [{"conv": 8}, {"conv": 8, "groups": 4, "kernel": 5, "stride": 3}],
    [{"depthwise": 3, "multiplier": 2, "norm": "batch", "activation": "prelu"}],
    [{"conv": 8, "bias": True, "norm": "instance"}, {"pool": "avg", "kernel": 3, "stride": 2, "padding": 1}],
    [{"conv": 8, "activation": {"maxout": 3}}, "flatten", {"linear": 6, "activation": {"maxout": 2}}],
    ["pool", {"up": 8}, {"up": 4, "kernel": 4, "stride": 2}, {"up": 4, "kernel": 3, "stride": 1}],
    [{"conv": 8, "stride": 4}, {"up": 8, "kernel": [4, 2], "stride": [4, 1]}, {"conv": 4}],
    ["edge", "scale", "lrn", {"norm": "batch"}, {"dropout": 0.5}, {"resize": 2}, {"conv": 2}],
    [{"pool": "adaptive", "bins": 6}, {"pool": "global"}, "flatten", {"linear": 5, "norm": "batch"}],
    [{"conv": 3, "wiring": [[0], [0, 2], [1]]}, {"module": "torch.nn.PixelShuffle", "upscale_factor": 1}],
    [{"up": 4, "kernel": 3}, {"conv": 4, "kernel": 2, "padding": 0}],  # a field of two pixels and a half
    [
        {"conv": 4, "dilation": [2, 3], "stride": 2},
        {"edge": "prewitt", "direction": "left", "padding": "valid"},
    ],
    [{"conv": 8}, {"pixel_shuffle": 2}, {"subpixel": 3}, {"conv": 4}],
    [{"conv": 4, "padding": 3}],  # a filter that makes the map larger is no `up`
    [{"pool": "max", "kernel": 2, "stride": [1, 2], "padding": 1}],
    ["flatten", {"activation": {"maxout": 2}}],
    [{"conv": 8}, {"squeeze_excite": 4}, {"residual": [{"conv": 16, "stride": 2}], "shortcut": "pad"}],
]


@pytest.mark.parametrize("layers", LISTS, ids=str)
def test_every_formula_of_a_list_gives_the_number_of_its_plan(layers: list[Any]) -> None:
    assert check_network(plan_lists(layers))


sides = st.integers(1, 40)
numbers = st.tuples(st.integers(1, 7), st.integers(1, 7))


@given(shape=st.tuples(st.integers(1, 5), sides, sides), kernel=numbers, stride=numbers, data=st.data())
def test_formulas_hold_for_any_window(shape: Any, kernel: Any, stride: Any, data: st.DataObject) -> None:
    padding = [data.draw(st.integers(0, side // 2)) for side in kernel]
    window = {"kernel": list(kernel), "stride": list(stride), "padding": padding}
    first = data.draw(st.sampled_from([{"conv": 6, **window}, {"pool": "max", **window}]))
    second = {"conv": 2, "kernel": [1, 3], "padding": [0, 1]}
    try:
        network = plan_lists([first, second, "flatten", {"linear": 3}], shape=shape)
    except ConfigError as refusal:
        assume("or a smaller kernel" not in refusal.hint)  # a kernel larger than its image
        raise
    assert check_network(network) == {"output", "weights", "multiply-adds", "receptive field"}


def all_lines(network: Network) -> Iterator[tuple[str, str, str]]:
    for leaf in network.leaves():
        yield from ((leaf.name, quantity, formula) for quantity, formula in formulas(leaf))


def test_lines_are_those_that_a_student_would_write() -> None:
    layers = [{"conv": 8, "kernel": 5, "stride": 2, "norm": "batch"}, {"pool": "max"}, {"up": 4}, "flatten"]
    assert list(all_lines(plan_lists(layers, [{"linear": "outputs"}], shape=(3, 9, 16), outputs=2))) == [
        ("conv 8, 5x5 / 2", "output", "floor((9 + 2*2 - 5) / 2) + 1 = 5 x floor((16 + 2*2 - 5) / 2) + 1 = 8"),
        ("conv 8, 5x5 / 2", "weights", "5*5*3*8 + 2*8 = 616"),
        ("conv 8, 5x5 / 2", "multiply-adds", "5*8*5*5*3*8 = 24,000"),
        ("conv 8, 5x5 / 2", "receptive field", "1 + (5 - 1)*1 = 5; jump 1*2 = 2"),
        ("pool max, 2x2 / 2", "output", "floor((5 + 2*0 - 2) / 2) + 1 = 2 x floor((8 + 2*0 - 2) / 2) + 1 = 4"),
        ("pool max, 2x2 / 2", "receptive field", "5 + (2 - 1)*2 = 7; jump 2*2 = 4"),
        ("up 4, 2x2 x 2", "output", "(2 - 1)*2 + 2 = 4 x (4 - 1)*2 + 2 = 8"),
        ("up 4, 2x2 x 2", "weights", "2*2*8*4 + 4 = 132"),
        ("up 4, 2x2 x 2", "multiply-adds", "2*4*2*2*8*4 = 1,024"),
        ("up 4, 2x2 x 2", "receptive field", "7 + (1 - 1)*4 = 7; jump 4/2 = 2"),
        ("flatten", "output", "4*4*8 = 128"),
        ("linear 2", "weights", "128*2 + 2 = 258"),
        ("linear 2", "multiply-adds", "128*2 = 256"),
    ]  # fmt: skip


def test_field_beyond_the_image_says_that_it_is_cut() -> None:
    (leaf,) = plan_lists([{"conv": 1, "kernel": 7}], shape=(1, 5, 5)).leaves()
    said = dict(formulas(leaf))
    assert said["receptive field"] == "1 + (7 - 1)*1 = 7, cut to the image's 5; jump 1*1 = 1"


def test_field_is_told_for_rows_and_columns_where_they_differ() -> None:
    (leaf,) = plan_lists([{"conv": 1, "kernel": 3, "stride": [1, 2]}], shape=(1, 9, 2)).leaves()
    rows, columns = dict(formulas(leaf))["receptive field"].split(" x ")
    assert rows == "1 + (3 - 1)*1 = 3; jump 1*1 = 1"
    assert columns == "1 + (3 - 1)*1 = 3, cut to the image's 2; jump 1*2 = 2"


def test_field_of_parts_of_pixels_says_in_how_many_it_lies() -> None:
    *_, leaf = plan_lists([{"up": 4, "kernel": 3}, {"conv": 4, "kernel": 2, "padding": 0}]).leaves()
    said = dict(formulas(leaf))
    assert said["receptive field"] == "2 + (2 - 1)*1/2 = 5/2, in up to 2 pixels; jump 1/2*1 = 1/2"


def test_layer_that_passes_its_input_on_needs_no_formula() -> None:
    network = plan_lists([{"residual": [{"dropout": 0.5}]}, {"pool": "global"}])
    assert [leaf.name for leaf in network.leaves()] == ["dropout 0.5", "add", "pool global"]
    assert list(all_lines(network)) == []


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        # The lecture's 7x7 with a 3x3 filter and stride 3: (7 - 3) / 3 is no whole number.
        ({"conv": 1, "stride": 3, "padding": 0}, (1, 7, 7),
         "layers[0]: conv 1, 3x3 / 3 never reaches the last row and the last column of its input; "
         "padding 1 would fit"),
        ({"pool": "max"}, (1, 4, 5), "layers[0]: pool max, 2x2 / 2 never reaches the last column of its input"),
        ({"conv": 1, "kernel": 1, "stride": 3}, (1, 6, 7),
         "layers[0]: conv 1, 1x1 / 3 never reaches the last 2 rows of its input"),
    ],
)  # fmt: skip
def test_stride_that_does_not_fit_is_noted(layer: Any, shape: Any, said: str) -> None:
    assert notes(plan_lists([layer], shape=shape)) == [said]


@pytest.mark.parametrize(
    "layer",
    [{"conv": 1, "stride": 2}, {"conv": 1, "kernel": 2, "stride": 2, "padding": 0}, {"up": 1, "kernel": 3}],
)
def test_stride_that_misses_only_padding_is_not_noted(layer: Any) -> None:
    assert notes(plan_lists([layer], shape=(1, 8, 8))) == []
