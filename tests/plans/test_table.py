"""A planned network as rows of text and as JSON."""

from pipeline.plans.table import as_json, as_rows
from tests.networks.models import plan_layers

LAYERS = [{"conv": 4, "kernel": [3, 5]}, {"residual": [{"conv": 8, "stride": 2}]}]
HEAD = [{"pool": "global"}, "flatten", {"linear": "outputs"}]
NETWORK = plan_layers(*LAYERS, head=HEAD, norm="none", shape=(1, 8, 6), outputs=2)


def test_json_has_one_entry_per_layer_and_totals_that_add_up() -> None:
    shown = as_json(NETWORK)
    assert list(shown) == ["name", "shape", "outputs", "weights", "multiply_adds", "layers"]
    assert (shown["name"], shown["shape"], shown["outputs"]) == ("small", [1, 8, 6], 2)
    assert [layer["name"] for layer in shown["layers"]] == [
        "conv 4, 3x5", "conv 8, 3x3 / 2", "conv 8, 1x1 / 2", "add", "pool global", "flatten", "linear 2",
    ]  # fmt: skip
    for key in ("weights", "multiply_adds"):
        assert shown[key] == sum(layer[key] for layer in shown["layers"])
    assert shown["weights"] == (60 + 4) + (288 + 8) + (32 + 8) + (16 + 2)


def test_receptive_field_is_one_number_only_where_rows_equal_columns() -> None:
    fields = [layer["receptive_field"] for layer in as_json(NETWORK)["layers"]]
    assert fields[:2] == [[3, 5], [5, 6]]  # 7 columns, but the image has 6
    square = plan_layers({"conv": 4}, head=HEAD, shape=(1, 8, 8), outputs=2)
    assert as_json(square)["layers"][0]["receptive_field"] == 3


def test_rows_are_text_with_the_place_in_the_yaml() -> None:
    rows = as_rows(plan_layers({"conv": 1000}, head=HEAD, norm="none", shape=(1, 8, 6), outputs=2))
    assert rows[0] == ("layers[0]", "conv 1000, 3x3", "1000 x 8 x 6", "10,000", "432,000", "3 x 3")
    assert [row[0] for row in rows[1:]] == ["head[0]", "head[1]", "head[2]"]


def test_rows_and_json_tell_the_same_of_every_layer() -> None:
    shown = as_json(NETWORK)["layers"]
    for (_, name, shape, weights, multiply_adds, _), layer in zip(as_rows(NETWORK), shown, strict=True):
        assert (name, shape) == (layer["name"], " x ".join(map(str, layer["shape"])))
        assert (weights, multiply_adds) == (f"{layer['weights']:,}", f"{layer['multiply_adds']:,}")
