"""Every way a network can be wrong, with what is said: network, place, value, way out."""

import ast
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

import pipeline.networks
from pipeline.errors import ConfigError
from pipeline.networks.structures import plan

ROOM = Path(pipeline.networks.__file__).parent

MODEL: dict[str, Any] = {
    "name": "small",
    "norm": "batch",
    "activation": "relu",
    "init": "he_normal",
    "layers": [{"conv": 4}],
    "head": ["flatten", {"linear": "outputs"}],
}


def layers(*items: Any) -> dict[str, Any]:
    return {"layers": list(items)}


# What is changed in MODEL for an image of 1x8x6, the place that the message names, and what it says there.
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    # The grammar.
    (layers(3), "layers[0]",
     "a part is a name or a mapping such as {conv: 64, kernel: 3}, got 3; write `none` for"),
    (layers({}), "layers[0]", "a part is a name or a mapping such as {conv: 64, kernel: 3}, got {}; write"),
    (layers({3: 4}), "layers[0]",
     "a part is a name or a mapping such as {conv: 64, kernel: 3}, got {3: 4}; write"),
    (layers({"conv": 4, "kernle": 3}), "layers[0]",
     "conv has no option 'kernle'; did you mean 'kernel'? allowed: activation, bias, groups, init, "
     "kernel, norm, padding, repeat, stride"),
    (layers({"conv": 4, "repeats": 2}), "layers[0]", "conv has no option 'repeats'; did you mean 'repeat'?"),
    (layers("conv"), "layers[0]", "conv needs a value; write {conv: ...}"),
    (layers({"flatten": 2}), "layers[0]", "flatten takes no value; write - flatten"),
    (layers({"conv": 0}), "layers[0]",
     "conv (or the word `outputs`) must be a whole number of at least 1, got 0"),
    (layers({"conv": 2.5}), "layers[0]", "conv (or the word `outputs`) must be a whole number of at least"),
    (layers({"conv": True}), "layers[0]", "conv (or the word `outputs`) must be a whole number"),
    (layers("pool", {"conv": 4, "repeat": 0}), "layers[1]",
     "repeat must be a whole number of at least 1, got 0"),
    (layers({"conv": 4, "kernel": [3, 3, 3]}), "layers[0]",
     "kernel must be a number or [rows, columns], got [3, 3, 3]"),
    (layers({"conv": 4, "stride": "2"}), "layers[0]", "stride must be a whole number of at least 1, got '2'"),
    # Leaves.
    (layers({"conv": 4}, {"conv": 6, "groups": 4}), "layers[1]",
     "groups 4 must divide 4 channels in and 6 out"),
    (layers({"conv": 4, "padding": "some"}), "layers[0]",
     "padding (same, valid or pixels) must be a whole number of at least 0, got 'some'"),
    (layers({"conv": 4, "kernel": 2}), "layers[0]",
     "padding same needs an odd kernel, got 2x2; say valid or pixels"),
    (layers({"conv": 4, "kernel": [1, 7], "padding": "valid"}), "layers[0]",
     "kernel 1x7 does not fit its 8x6 input; use a larger image (data.shape), fewer strides and "
     "pools before it, or a"),
    (layers({"pool": "max", "repeat": 3}), "layers[0]", "kernel 2x2 does not fit its 2x1 input; use a"),
    (layers({"conv": 4, "bias": "no"}), "layers[0]", "bias must be true or false, got 'no'"),
    (layers({"up": 4, "kernel": 1}), "layers[0]",
     "kernel (1, 1) leaves holes at stride (2, 2); kernel >= stride"),
    (layers({"pool": "min"}), "layers[0]", "unknown pool 'min'; allowed: avg, global, max"),
    (layers({"pool": "max", "padding": 2}), "layers[0]", "padding 2 is more than half the kernel 2x2"),
    (layers({"pool": "global", "stride": 2}), "layers[0]",
     "pool global takes the whole map; remove kernel, stride, padding"),
    ({"head": [{"linear": 3}]}, "head[0]", "linear needs a vector, got 4x8x6; put `flatten` before it"),
    ({"head": ["flatten", {"conv": 3}]}, "head[1]",
     "conv needs a map (C, H, W), got a vector of 192; move it before `flatten`"),
    (layers({"dropout": 1}), "layers[0]", "probability must be in [0, 1), got 1"),
    (layers({"dropout": "half"}), "layers[0]", "probability must be in [0, 1), got 'half'"),
    # Norms, activations, initialisers; of the network or of a layer.
    ({"norm": "bath"}, "layers[0]", "unknown norm 'bath'; did you mean 'batch'? allowed: batch, group, none"),
    ({"norm": {"batch": 3}}, "layers[0]", "batch takes no value; write norm: batch"),
    (layers({"norm": "group"}), "layers[0]", "group needs the number of groups; write norm: {group: 32}"),
    (layers({"norm": {"group": 2.5}}), "layers[0]",
     "the number of groups must be a whole number of at least 1, got 2.5"),
    (layers({"conv": 6, "norm": {"group": 4}}), "layers[0]",
     "4 groups do not divide 6 channels; use a divisor of 6"),
    (layers({"norm": {"group": 1, "eps": 0.1}}), "layers[0]", "group has no option 'eps'; remove it"),
    ({"activation": "rellu"}, "layers[0]",
     "unknown activation 'rellu'; did you mean 'relu'? allowed: elu, gelu,"),
    (layers({"activation": {"relu": 0.1}}), "layers[0]", "relu takes no value; write relu"),
    (layers({"activation": {"elu": "x"}}), "layers[0]", "alpha must be a number, got 'x'"),
    ({"init": "he"}, "layers[0]", "unknown init 'he'; allowed: constant, default, he_normal, he_uniform, "),
    (layers({"conv": 4, "init": {"he_normal": 2}}), "layers[0]",
     "init he_normal takes no value; write init: he_normal"),
    ({"init": "normal"}, "layers[0]", "init normal needs its standard deviation: {normal: 0.01}"),
    ({"init": {"normal": True}}, "layers[0]", "standard deviation must be a number, got True"),
    ({"init": {"uniform": -1}}, "layers[0]", "bound must be at least 0, got -1.0"),
    # Structures.
    ({"layers": [], "head": []}, "", "layers and head are both empty; list at least one layer"),
    ({"layers": {"conv": 4}}, "layers",
     "must be a list of layers, got {'conv': 4}; start each layer with a dash"),
    (layers({"skip": "pool"}), "layers[0].skip",
     "must be a list of layers, got 'pool'; start each layer with a dash"),
    (layers({"conv2d": 4}), "layers[0]",
     "unknown layer 'conv2d'; did you mean 'conv'? allowed: activation, conv,"),
    (layers({"residual": [{"skip": [{"cnv": 4}]}]}), "layers[0].residual[0].skip[0]",
     "unknown layer 'cnv'; did you mean 'conv'?"),
    (layers({"residual": []}), "layers[0]", "residual needs at least one layer in its list"),
    (layers({"skip": []}), "layers[0]", "skip needs at least one layer in its list"),
    (layers({"skip": ["pool"]}), "layers[0]",
     "the list turns 8x6 into 4x3, so its output cannot be concatenated with its input; use as many "
     "`up` as `pool`, and rows and columns of data.shape that every pool"),
    (layers({"residual": ["flatten"]}), "layers[0].residual",
     "no projection turns (1, 8, 6) into (48,); keep the shape"),
    (layers({"residual": [{"conv": 4, "padding": "valid"}]}), "layers[0].residual",
     "the list turns 1x8x6 into 4x6x4, a 1x1 projection gives 4x4x3; let every filter keep rows and "
     "columns (padding same) or halve"),
]  # fmt: skip

# The same for mistakes that are told before the network's name is known.
NAMELESS: list[tuple[dict[str, Any], str]] = [
    (
        {"norm": None},
        "model.norm: a part is a name or a mapping such as {conv: 64, kernel: 3}, got None; write",
    ),
    (
        {"layer": []},
        "model.layer: unknown key; did you mean 'layers'? allowed: activation, head, init, layers,",
    ),
    ({"head": ...}, "model.head is missing; write it (`none` or [] for nothing)"),
]


def message_of(place: str, reason: str) -> str:
    """Return the pattern of a message: network, place, the part as it is written, reason."""
    where = f", {re.escape(place)}( [^:]*.*)?" if place else ""
    return f"^model small{where}: {re.escape(reason)}"


ROWS = [(change, message_of(place, reason)) for change, place, reason in MISTAKES]
ROWS += [(change, f"^{re.escape(said)}") for change, said in NAMELESS]


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


def test_layer_is_shown_as_it_is_written() -> None:
    change = layers({"residual": [{"conv": 4, "kernel": [2, 2]}], "repeat": 2})
    with pytest.raises(
        ConfigError, match=re.escape("layers[0].residual[0] {conv: 4, kernel: [...]}: padding")
    ):
        plan_wrongly(change)


def test_network_without_a_mistake_is_planned() -> None:
    plan_wrongly({})


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
