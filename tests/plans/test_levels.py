"""Levels: every layer on the way to the output belongs to one, in order, the head to the last."""

from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plans.network import Network
from tests.plans.models import plan_conf, plan_lists, section


def names_of(network: Network) -> list[list[str]]:
    return [[leaf.name for leaf in level] for level in network.levels()]


def read_sides(network: Network) -> list[set[int]]:
    """Return the rows of the maps of each level before the head."""
    return [{leaf.shape[1] for leaf in level if len(leaf.shape) == 3} for level in network.levels()[:-1]]


def check_partition(network: Network) -> None:
    """Ask that levels hold each layer but those of auxiliary heads once, in order, the head alone last."""
    *before, head = network.levels()
    in_order = list(chain.from_iterable(before))
    assert list(map(id, [*in_order, *head])) == list(map(id, network.leaves()))
    assert all(leaf.where.startswith("layers") for leaf in in_order)
    assert all(leaf.where.startswith("head") for leaf in head)


def test_levels_of_lenet5_are_its_resolutions() -> None:
    network = plan_conf("model=lenet5", shape=(1, 32, 32), outputs=10)
    assert names_of(network) == [
        ["conv 6, 5x5"],
        ["pool max, 2x2 / 2"],
        ["conv 16, 5x5"],
        ["pool max, 2x2 / 2"],
        ["conv 120, 5x5", "flatten", "linear 84"],
        ["linear 10"],
    ]
    assert read_sides(network) == [{28}, {14}, {10}, {5}, {1}]


def test_levels_of_resnet18_are_the_stages_of_the_paper() -> None:
    network = plan_conf("model=resnet18", shape=(3, 224, 224), outputs=1000)
    levels = names_of(network)
    assert read_sides(network) == [{112}, {56}, {28}, {14}, {7}]  # table 1: conv1, conv2_x to conv5_x
    assert levels[0] == ["conv 64, 7x7 / 2"]
    assert levels[1] == ["pool max, 3x3 / 2", *["conv 64, 3x3", "conv 64, 3x3", "add"] * 2]
    assert levels[4] == [
        "conv 512, 3x3 / 2", "conv 512, 3x3", "conv 512, 1x1 / 2", "add", "conv 512, 3x3", "conv 512, 3x3", "add",
    ]  # fmt: skip
    assert levels[5] == ["pool global", "flatten", "linear 1000"]


def test_the_way_back_up_is_one_level() -> None:
    network = plan_conf("model=unet_small", shape=(1, 32, 32), outputs=3)
    down_and_head = [
        ["conv 16, 3x3", "conv 16, 3x3"],
        ["pool max, 2x2 / 2", "conv 32, 3x3", "conv 32, 3x3"],
        ["pool max, 2x2 / 2", "conv 64, 3x3", "conv 64, 3x3"],
        ["conv 3, 1x1"],
    ]
    *levels, way_up, head = names_of(network)
    assert [*levels, head] == down_and_head
    assert way_up[:2] == ["up 32, 2x2 x 2", "concatenate"]
    assert way_up[-2:] == ["conv 16, 3x3", "conv 16, 3x3"]
    assert len(way_up) == 8  # two steps of up, concatenate and two convolutions


def test_network_without_layers_has_an_empty_level_and_its_head() -> None:
    assert names_of(plan_lists([], ["flatten", {"linear": 2}])) == [[], ["flatten", "linear 2"]]


def test_vectors_stay_in_the_level_of_the_last_map() -> None:
    network = plan_lists([{"conv": 4}, "pool", "flatten", {"linear": 9}], [{"linear": 2}])
    assert names_of(network) == [
        ["conv 4, 3x3"],
        ["pool max, 2x2 / 2", "flatten", "linear 9"],
        ["linear 2"],
    ]


def test_image_that_a_first_layer_makes_smaller_leaves_no_empty_level() -> None:
    assert names_of(plan_lists(["pool", {"conv": 4}])) == [["pool max, 2x2 / 2", "conv 4, 3x3"], []]


# fmt: off
blocks = st.sampled_from([
    {"conv": 4}, {"conv": 4, "stride": 2}, {"conv": 4, "repeat": 2}, {"separable": 4, "stride": 2}, "pool",
    {"residual": [{"conv": 4, "stride": 2}, {"conv": 4}]}, {"residual": [{"dropout": 0.5}]},
    {"branches": [[{"conv": 2}], ["pool", {"up": 2}]]}, {"skip": ["pool", {"conv": 4}, {"up": 3}]}, {"up": 4},
    {"squeeze_excite": 2}, {"auxiliary": ["pool", {"pool": "global"}, "flatten", {"linear": "outputs"}]},
])
# fmt: on
END = [{"pool": "global"}, "flatten", {"linear": "outputs"}]


@settings(deadline=None, max_examples=60)
@given(st.lists(blocks, max_size=6))
def test_levels_of_any_list_hold_each_layer_once_in_order(layers: list[Any]) -> None:
    check_partition(plan_lists(layers, END, shape=(1, 384, 384)))


@pytest.mark.parametrize("name", ["unet", "densenet121", "googlenet", "efficientnet_b0", "squeezenet"])
def test_levels_of_a_published_network_hold_each_layer_once_in_order(name: str) -> None:
    check_partition(plan_conf(f"model={name}", shape=(3, 224, 224), outputs=10))


RESOLUTIONS = [
    ("densenet121", [112, 56, 28, 14, 7]),  # table 1
    ("preact_resnet18", [112, 56, 28, 14, 7]),
    ("googlenet", [112, 56, 28, 14, 7]),  # table 1
    ("efficientnet_b0", [112, 56, 28, 14, 7]),
    ("mobilenet_v3_small", [112, 56, 28, 14, 7]),
]


@pytest.mark.parametrize(("name", "rows"), RESOLUTIONS)
def test_a_classifier_has_a_level_for_each_resolution(name: str, rows: list[int]) -> None:
    network = plan_conf(f"model={name}", shape=(3, 224, 224), outputs=10)
    inside_gates = {1}
    assert [sides - inside_gates for sides in read_sides(network)] == [{each} for each in rows]


def test_auxiliary_heads_do_not_move_the_levels() -> None:
    model = section("model=googlenet")
    plain = [each for each in model["layers"] if not (isinstance(each, dict) and "auxiliary" in each)]
    alone = plan_lists(plain, model["head"], shape=(3, 224, 224))
    assert names_of(plan_lists(model["layers"], model["head"], shape=(3, 224, 224))) == names_of(alone)


def test_auxiliary_head_at_the_end_leaves_no_empty_level() -> None:
    side = {"auxiliary": ["pool", "flatten", {"linear": "outputs"}]}
    network = plan_lists([{"conv": 4}, side], ["flatten", {"linear": "outputs"}])
    assert names_of(network) == [["conv 4, 3x3"], ["flatten", "linear 4"]]


def test_lists_side_by_side_that_shrink_the_map_are_one_level() -> None:
    halved = {"conv": 4, "stride": 2}
    layers = [{"conv": 4}, {"branches": [[halved], [{"conv": 2}, halved]]}, "pool", {"conv": 4}]
    assert [level[-1].shape for level in plan_lists(layers).levels()[:-1]] == [
        (4, 32, 32),
        (8, 16, 16),
        (4, 8, 8),
    ]
