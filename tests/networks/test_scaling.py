"""Repeats, depth and width: how one list stands for larger and smaller networks."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.networks.models import plan_layers


def rows_of(*layers: Any, **changes: Any) -> list[int]:
    """Return the rows that each layer puts out for an image of 64x64."""
    return [leaf.shape[1] for leaf in plan_layers(*layers, shape=(4, 64, 64), **changes).leaves()]


def filters_of(*layers: Any, channels: int = 8, outputs: int = 10, **changes: Any) -> list[int]:
    """Return the channels or features that each layer puts out."""
    network = plan_layers(*layers, shape=(channels, 4, 4), outputs=outputs, **changes)
    return [leaf.shape[0] for leaf in network.leaves()]


@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        ({"conv": 8, "stride": 2, "repeat": 3}, [32, 32, 32]),
        ({"residual": [{"conv": 8, "stride": 2}, {"conv": 8}], "repeat": 2}, [32, 32, 32, 32, 32, 32, 32]),
        ({"skip": [{"residual": [{"conv": 8, "stride": 1}]}], "repeat": 2}, [64] * 8),
        ({"residual": [{"residual": [{"conv": 8, "stride": 2}]}], "repeat": 2}, [32] * 8),
        ({"branches": [[{"conv": 8, "stride": 2}]] * 2, "repeat": 2}, [32] * 6),
        (
            {"residual": [{"conv": 8, "stride": 2}], "shortcut": [{"conv": 8, "stride": 2}], "repeat": 2},
            [32] * 6,
        ),
        ({"separable": 8, "stride": 2, "repeat": 2}, [32] * 4),
        ({"inverted_residual": 8, "stride": 2, "repeat": 2, "expand": 1}, [32] * 5),
        ({"pool": "max", "repeat": 3}, [32, 16, 8]),  # no stride is written, so each one halves
        ({"conv": 8, "stride": [2, 1], "kernel": 1, "repeat": 2}, [32, 32]),
    ],
)
def test_repeat_applies_a_stride_to_the_first_repetition_only(layer: Any, rows: list[int]) -> None:
    assert rows_of(layer) == rows


@pytest.mark.parametrize(
    ("written", "depth", "stands"),
    [(1, 0.5, 1), (3, 0.5, 2), (4, 0.5, 2), (1, 1, 1), (1, 1.1, 2), (2, 1.5, 3), (3, 2, 6), (1, 0.01, 1)],
)
def test_depth_rounds_a_written_repeat_up(written: int, depth: float, stands: int) -> None:
    assert rows_of({"conv": 8, "repeat": written}, depth=depth) == [64] * stands


def test_depth_leaves_alone_what_has_no_repeat_written() -> None:
    assert rows_of({"conv": 8}, "pool", {"conv": 8, "repeat": 1}, depth=3) == [64, 32, 32, 32, 32]


def test_depth_multiplies_the_repeats_inside_a_list_too() -> None:
    nested = {"residual": [{"conv": 8, "repeat": 2}], "repeat": 2, "shortcut": [{"conv": 8, "kernel": 1}]}
    blocks = math.ceil(2 * 1.2)
    assert rows_of(nested, depth=1.2) == [64] * (blocks * (math.ceil(2 * 1.2) + 1 + 1))


# Tan and Le 2019, arXiv:1905.11946: blocks per stage, B0 as in table 1; the others as in the authors' code.
STAGES = [1, 2, 2, 3, 3, 4, 1]


@pytest.mark.parametrize(
    ("depth", "blocks"),
    [
        (1.0, STAGES),
        (1.1, [2, 3, 3, 4, 4, 5, 2]),
        (1.4, [2, 3, 3, 5, 5, 6, 2]),
        (1.8, [2, 4, 4, 6, 6, 8, 2]),
        (2.2, [3, 5, 5, 7, 7, 9, 3]),
        (2.6, [3, 6, 6, 8, 8, 11, 3]),
        (3.1, [4, 7, 7, 10, 10, 13, 4]),
    ],
)
def test_depth_gives_the_stages_of_the_efficientnets(depth: float, blocks: list[int]) -> None:
    stages = [{"conv": 8, "repeat": repeat} for repeat in STAGES]
    network = plan_layers(*stages, shape=(8, 1, 1), depth=depth)
    places = [leaf.where for leaf in network.leaves()]
    assert [places.count(f"layers[{stage}]") for stage in range(7)] == blocks


# Filters of the EfficientNets B0, B2 and B4, stem and last included, and of MobileNetV2 at 0.75 and 0.35, as in
# their authors' code.
B0 = [32, 16, 24, 40, 80, 112, 192, 320, 1280]
V2 = [32, 16, 24, 32, 64, 96, 160, 320]


@pytest.mark.parametrize(
    ("written", "width", "filters"),
    [
        (B0, 1.0, B0),
        (B0, 1.1, [32, 16, 24, 48, 88, 120, 208, 352, 1408]),
        (B0, 1.4, [48, 24, 32, 56, 112, 160, 272, 448, 1792]),
        (V2, 0.75, [24, 16, 24, 24, 48, 72, 120, 240]),
        (V2, 0.35, [16, 8, 8, 16, 24, 32, 56, 112]),
    ],
)
def test_width_gives_the_published_filters(written: list[int], width: float, filters: list[int]) -> None:
    assert filters_of(*({"conv": count} for count in written), width=width) == filters


@given(count=st.integers(1, 3000), width=st.floats(0.01, 8).filter(lambda width: width != 1))
def test_width_rounds_to_the_nearest_multiple_of_8_that_keeps_nine_tenths(count: int, width: float) -> None:
    (made,) = filters_of({"conv": count}, width=width)
    wanted = count * width
    enough = [eights for eights in range(8, int(wanted) + 24, 8) if eights >= 0.9 * wanted]
    assert made in enough
    assert abs(made - wanted) <= min(abs(eights - wanted) for eights in enough) + 1e-9


@given(count=st.integers(1, 3000))
def test_width_1_keeps_every_number_as_it_is_written(count: int) -> None:
    assert filters_of({"conv": count}, width=1) == [count]


@pytest.mark.parametrize(
    ("layers", "filters"),
    [
        ([{"conv": 32}, {"up": 64}], [16, 32]),
        (["flatten", {"linear": 32}, {"linear": "outputs"}], [128, 16, 10]),
        ([{"conv": "outputs"}], [10]),
        ([{"depthwise": 3, "multiplier": 2}], [16]),  # follows its input
        ([{"separable": 32}], [8, 16]),
        ([{"inverted_residual": 32, "expand": 2}], [16, 16, 16]),
        ([{"inverted_residual": 32, "hidden": 64}], [32, 32, 16]),
        ([{"residual": [{"conv": 32}], "shortcut": "project"}], [16, 16, 16]),  # and its projection
        ([{"squeeze_excite": 2}], [8, 4, 8, 8]),
        ([{"inception": [16, 32, 48, 64, 80, 96]}], [8, 16, 24, 32, 40, 8, 48, 120]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_width_scales_what_is_written_and_nothing_that_follows_from_it(
    layers: list[Any], filters: list[int]
) -> None:
    assert filters_of(*layers, width=0.5) == filters


@pytest.mark.parametrize(
    ("own", "network", "filters"),
    [
        (1, 0.5, 100),
        (0.5, 1.0, 48),  # 50 to the nearest multiple
        (0.5, 4.0, 48),  # instead of the network's, not times it
        ("at_least_1", 0.5, 100),
        ("at_least_1", 1.0, 100),
        ("at_least_1", 1.4, 144),  # 140
    ],
)
def test_width_of_a_layer_stands_instead_of_the_networks(own: Any, network: float, filters: int) -> None:
    assert filters_of({"conv": 100, "width": own}, width=network) == [filters]
    assert filters_of({"up": 100, "width": own}, width=network) == [filters]
    assert filters_of("flatten", {"linear": 100, "width": own}, width=network) == [128, filters]
