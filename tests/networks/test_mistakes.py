"""Every way a network can be wrong, with what is said: network, place, value, way out."""

import ast
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

import pipeline.networks
from pipeline.declaration.composition import compose
from pipeline.errors import ConfigError
from pipeline.networks.planner import KEYS, plan
from tests.networks.mistakes import FILTERS, GRAMMAR, OTHER_LEAVES, layers, lists_in_each_other
from tests.networks.mistakes_of_parts import PARTS, STRUCTURES
from tests.networks.models import model_of

ROOM = Path(pipeline.networks.__file__).parent
MODEL = model_of({"conv": 4}, head=["flatten", {"linear": "outputs"}])

# Mistakes that are told before the network's name is known.
NAMELESS: list[tuple[dict[str, Any], str]] = [
    (
        {"norm": None},
        "model.norm: a part is a name or a mapping such as {conv: 64, kernel: 3}, got None; write `none` for nothing",
    ),
    (
        {"layer": []},
        "model.layer: unknown key; did you mean 'layers'? allowed: activation, depth, encoder, freeze, head, init, ",
    ),
    ({"head": ...}, "model.head is missing; write it (`none` or [] for nothing)"),
    ({"width": 0}, "model.width must be a number above 0, at most 100, got 0; 1.0 leaves the list as it is"),
    (
        {"width": "wide"},
        "model.width must be a number above 0, at most 100, got 'wide'; 1.0 leaves the list as it is",
    ),
    (
        {"width": True},
        "model.width must be a number above 0, at most 100, got True; 1.0 leaves the list as it is",
    ),
    (
        {"width": float("nan")},
        "model.width must be a number above 0, at most 100, got nan; 1.0 leaves the list as it is",
    ),
    (
        {"width": float("inf")},
        "model.width must be a number above 0, at most 100, got inf; 1.0 leaves the list as it is",
    ),
    (
        {"width": "at_least_1"},
        "model.width must be a number above 0, at most 100, got 'at_least_1'; 1.0 leaves",
    ),
    (
        {"depth": -1.5},
        "model.depth must be a number above 0, at most 100, got -1.5; 1.0 leaves the list as it is",
    ),
    (
        {"depth": float("inf"), **layers({"conv": 4, "repeat": 2})},
        "model.depth must be a number above 0, at most 100, got inf; 1.0 leaves the list as it is",
    ),
    (
        {"depth": None},
        "model.depth must be a number above 0, at most 100, got None; 1.0 leaves the list as it is",
    ),
    ({"zero_last_norm": "yes"}, "model.zero_last_norm must be true or false, got 'yes'"),
    ({"zero_last_norm": 1}, "model.zero_last_norm must be true or false, got 1"),
    *[
        (
            change,
            "model.encoder must be a network with a list of layers, and model.layers empty; choose the encoder by "
            "model=unet_on model@model.encoder=<network>",
        )
        for change in (
            {"encoder": {"layers": ["pool"]}},  # the layers of the model stand beside it
            {"encoder": None, "layers": []},
            {"encoder": {}, "layers": []},
            {"encoder": {"layers": "pool"}, "layers": []},
        )
    ],
    (
        {"zero_last_norm": True},
        "model.zero_last_norm: no residual list of model small ends with a norm, so that it would do nothing; set it "
        "to false",
    ),
    *[
        (
            {"zero_last_norm": True, **layers({"residual": [*body]})},
            "model.zero_last_norm: no residual list of model small ends with a norm, ",
        )
        for body in (
            [{"conv": 4, "norm": "none"}],
            [{"conv": 4}, "activation"],
            [{"conv": 4}, {"squeeze_excite": 2}],
        )
    ],
]


# Mistakes of somebody else's class, of numbers without bounds, of parts that no layer uses.
RARE: list[tuple[dict[str, Any], str]] = [
    (layers({"module": "torch.nn.GroupNorm", "num_groups": 0, "num_channels": 1}), r"torch.nn.GroupNorm refuses"),
    (layers({"module": "torch.nn.MultiheadAttention", "embed_dim": 3, "num_heads": 2}),
     "torch.nn.MultiheadAttention refuses"),
    ({"depth": 1e308, **layers({"conv": 4, "repeat": 2})}, r"^model\.depth must be a number above 0, at most 100"),
    ({"width": 1e308}, r"^model\.width must be a number above 0, at most 100"),
    (layers({"scale": float("-inf")}), "start must be a number, got -inf"),
    ({"activation": {"leaky_relu": "x"}}, r"^model small, model\.activation "),
    ({"activation": {"softplus": 0}, "layers": []}, r"^model small, model\.activation "),
    ({"encoder": {"layers": ["pool", 3]}, "layers": []}, r"^model small, encoder\.layers\[1\]"),
]  # fmt: skip
# Mistakes that are not refused yet, and why they cannot work.
MISSED: list[tuple[dict[str, Any], str, str]] = [
    (layers({"module": "torch.nn.Softmax", "dim": 7}), r"layers\[0\] .*torch.nn.Softmax",
     "without memory torch does not look at dim; IndexError in the first step"),
    ({"norm": {"batch": 3}, "layers": []}, r"^model small, model\.norm ", "no layer uses it"),
]  # fmt: skip


def message_of(place: str, reason: str) -> str:
    """Return the pattern of a message: network, place, the part as it is written, reason."""
    where = f", {re.escape(place)}( [^:]*.*)?" if place else ""
    return f"^model small{where}: {re.escape(reason)}"


MISTAKES = [*GRAMMAR, *FILTERS, *OTHER_LEAVES, *PARTS, *STRUCTURES]
ROWS = [(change, message_of(place, reason)) for change, place, reason in MISTAKES]
ROWS += [(change, f"^{re.escape(said)}") for change, said in NAMELESS]
ROWS += RARE


def plan_wrongly(change: dict[str, Any]) -> None:
    model = {key: value for key, value in {**MODEL, **change}.items() if value is not ...}
    plan(model, shape=(1, 8, 6), outputs=10)


@pytest.mark.parametrize(("change", "message"), ROWS, ids=lambda value: str(value)[:60])
def test_mistake_is_told_with_its_place_its_value_and_the_way_out(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        plan_wrongly(change)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [pytest.param(*row, marks=pytest.mark.xfail(strict=True, reason=why)) for *row, why in MISSED],
    ids=lambda value: str(value)[:60],
)
def test_mistake_that_was_missed_is_told(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_wrongly(change)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_must_be_written(key: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^model\.{key} is missing; write it \(`none` or \[\] for nothing\)$"
    ):
        plan_wrongly({key: ...})


def test_layer_is_shown_as_it_is_written() -> None:
    change = layers({"residual": [{"conv": 4, "kernel": [2, 2]}], "repeat": 2})
    with pytest.raises(
        ConfigError, match=re.escape("layers[0].residual[0] {conv: 4, kernel: [...]}: padding")
    ):
        plan_wrongly(change)


def test_mistake_in_a_part_shows_the_part_at_the_place_of_its_layer() -> None:
    with pytest.raises(ConfigError, match=re.escape("layers[0] {group: 3}: 3 groups do not divide 4")):
        plan_wrongly({"norm": {"group": 3}})


def test_network_without_a_mistake_is_planned() -> None:
    plan_wrongly({})


def test_as_many_lists_in_each_other_as_are_allowed_are_planned() -> None:
    plan_wrongly(layers(*lists_in_each_other(32)))


def test_batch_norm_in_training_refuses_batches_of_one_image() -> None:
    alone = ["model=lenet5", "trainer.batch_size=1"]
    said = "trainer.batch_size: 1 image has no batch to normalise over, and model lenet5 has batch norms; use at "
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}least 2, or model.norm="):
        compose([*alone, "model.norm=batch"])
    compose([*alone, "model.norm={group: 2}"])


def test_every_refusal_in_the_source_has_its_row() -> None:
    raised = set()
    for change, _ in ROWS:
        with pytest.raises(ConfigError) as told:
            plan_wrongly(change)
        last = traceback.extract_tb(told.tb)[-1]
        raised.add((Path(last.filename).name, last.lineno))
    written = {
        (file.name, node.lineno)
        for file in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Raise)
    }
    assert written == raised
