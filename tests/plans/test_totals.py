"""Totals of a network, and totals side by side: figures added up by hand."""

import pytest

from pipeline.plans.table import as_comparison, as_json, as_text, bytes_text, totals
from tests.plans.models import plan_conf, plan_lists

# On 1 x 8 x 6: a convolution to 4 x 8 x 6, a strided one to 8 x 4 x 3, the mean of each channel.
LAYERS = [{"conv": 4}, {"conv": 8, "stride": 2}]
HEAD = [{"pool": "global"}, "flatten", {"linear": "outputs"}]
SMALL = plan_lists(LAYERS, HEAD, shape=(1, 8, 6), outputs=2)
WEIGHTS = (9 * 4 + 4) + (9 * 4 * 8 + 8) + (8 * 2 + 2)
MULTIPLY_ADDS = 8 * 6 * 4 * 9 + 4 * 3 * 8 * 36 + 8 * 2
NUMBERS_OUT = 4 * 8 * 6 + 8 * 4 * 3 + 8 + 8 + 2

SIDE = {"auxiliary": [*HEAD[:2], {"linear": 3}, {"linear": "outputs"}]}
WITH_SIDE = plan_lists([LAYERS[0], SIDE, LAYERS[1]], HEAD, shape=(1, 8, 6), outputs=2)
SIDE_WEIGHTS = (4 * 3 + 3) + (3 * 2 + 2)


def test_totals_are_the_sums_by_hand() -> None:
    assert totals(SMALL) == {
        "weights": WEIGHTS,
        "multiply_adds": MULTIPLY_ADDS,
        "activation_bytes": 4 * NUMBERS_OUT,
    }


def test_auxiliary_heads_count_apart_and_change_nothing_else() -> None:
    assert totals(WITH_SIDE) == {**totals(SMALL), "auxiliary_weights": SIDE_WEIGHTS}
    assert as_json(WITH_SIDE) == as_json(SMALL)
    assert as_comparison([WITH_SIDE]) == as_comparison([SMALL])


def test_comparison_has_a_row_of_totals_for_each_network_in_order() -> None:
    lenet5 = plan_conf("model=lenet5", shape=(1, 32, 32), outputs=10)
    layers_out = 6 * 28**2 + 6 * 14**2 + 16 * 10**2 + 16 * 5**2 + 120 + 120 + 84 + 10
    assert 4 * layers_out == 32_856
    assert as_comparison([lenet5, SMALL]) == [
        ("lenet5", "5", "61,706", "416,520", "32.9 kB", "10"),
        ("small", "3", f"{WEIGHTS:,}", f"{MULTIPLY_ADDS:,}", "1.22 kB", "2"),
    ]


def test_dense_output_is_compared_by_its_shape() -> None:
    network = plan_lists([{"conv": 3}], shape=(1, 8, 6))
    assert as_comparison([network])[0][-1] == "3 x 8 x 6"


def test_text_has_a_line_for_each_layer_its_formulas_below_and_the_totals_last() -> None:
    lines = as_text(SMALL).splitlines()
    assert lines[0] == "small, image 1 x 8 x 6, outputs 2"
    rows = [line for line in lines[2:-4] if not line.startswith("    ")]
    # fmt: off
    assert [row.split() for row in rows] == [
        ["layers[0]", "conv", "4,", "3x3", "4", "x", "8", "x", "6", "40", "1,728", "3", "x", "3"],
        ["layers[1]", "conv", "8,", "3x3", "/", "2", "8", "x", "4", "x", "3", "296", "3,456", "5", "x", "5"],
        ["head[0]", "pool", "global", "8", "x", "1", "x", "1", "0", "0", "8", "x", "6"],
        ["head[1]", "flatten", "8", "0", "0", "8", "x", "6"],
        ["head[2]", "linear", "2", "2", "18", "16", "8", "x", "6"],
    ]
    # fmt: on
    below = lines.index(next(line for line in lines if line.startswith("layers[1]"))) + 1
    assert lines[below : below + 4] == [
        "    output: floor((8 + 2*1 - 3) / 2) + 1 = 4 x floor((6 + 2*1 - 3) / 2) + 1 = 3",
        "    weights: 3*3*4*8 + 8 = 296",
        "    multiply-adds: 4*3*3*3*4*8 = 3,456",
        "    receptive field: 3 + (3 - 1)*1 = 5; jump 1*2 = 2",
    ]
    assert lines[-4:] == [
        "",
        f"weights: {WEIGHTS:,}",
        f"multiply_adds: {MULTIPLY_ADDS:,}",
        f"activation_bytes: {4 * NUMBERS_OUT:,}",
    ]
    assert as_text(SMALL).endswith("\n")
    assert as_text(WITH_SIDE).endswith(f"\nauxiliary_weights: {SIDE_WEIGHTS}\n")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (4, "4 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (32_856, "32.9 kB"),
        (60_700_000, "60.7 MB"),
        (999_000_000, "999 MB"),
        (1_230_000_000, "1.23 GB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (999_900, "1 MB"),
        (999_999_999, "1 GB"),
    ],
)
def test_bytes_are_told_with_three_digits_and_their_unit(count: int, text: str) -> None:
    assert bytes_text(count) == text
