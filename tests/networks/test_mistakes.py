"""Every way a network can be wrong, with the fields of its error."""

import ast
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

import pipeline.networks
from pipeline.declaration.composition import compose
from pipeline.networks.planner import ALLOWED, KEYS, plan
from tests.networks.mistakes import (
    FILTERS,
    FIRST,
    GRAMMAR,
    OTHER_LEAVES,
    Mistake,
    layers,
    module,
    nested_lists,
)
from tests.networks.mistakes_of_classifiers import OF_CLASSIFIERS, OF_INNER_NETWORKS
from tests.networks.mistakes_of_parts import PARTS, STRUCTURES
from tests.networks.models import model_of
from tests.refusals import refused

ROOM = Path(pipeline.networks.__file__).parent
MODEL = model_of({"conv": 4}, head=["flatten", {"linear": "outputs"}])
FACTOR = "a number above 0, at most 100"
AS_WRITTEN = "1.0 keeps it as written"
CHOOSE = "choose an encoder by model=unet_on model@model.encoder=<network>"

# Mistakes in the settings of the whole network.
SETTINGS = [
    Mistake({"layer": []}, "model.layer", "layer", ALLOWED, "did you mean 'layers'?",
            f"model.layer: unknown key 'layer'; did you mean 'layers'? allowed: {', '.join(sorted(ALLOWED))}"),
    Mistake({"head": ...}, "model.head", hint="add it",
            text="model.head: missing key; add it (none or [] for nothing)"),
    Mistake({"width": 0}, "model.width", 0, FACTOR, AS_WRITTEN,
            "model.width must be a number above 0, at most 100, got 0; 1.0 keeps it as written"),
    *[Mistake({"width": given}, "model.width", given, FACTOR, AS_WRITTEN)
      for given in ("wide", True, float("inf"), "at_least_1", 1e308)],
    Mistake({"width": float("nan")}, "model.width", allowed=FACTOR, hint=AS_WRITTEN,
            text="model.width must be a number above 0, at most 100, got nan; 1.0 keeps it as written"),  # nan != nan
    *[Mistake({"depth": given}, "model.depth", given, FACTOR, AS_WRITTEN) for given in (-1.5, None)],
    *[Mistake({"depth": given, **layers({"conv": 4, "repeat": 2})}, "model.depth", given, FACTOR, AS_WRITTEN)
      for given in (float("inf"), 1e308)],
    Mistake({"zero_last_norm": "yes"}, "model.zero_last_norm", "yes", "true or false",
            text="model.zero_last_norm must be true or false, got 'yes'"),
    Mistake({"zero_last_norm": 1}, "model.zero_last_norm", 1, "true or false"),
    Mistake({"encoder": {"layers": ["pool"]}}, "model.layers", allowed="empty if model.encoder is set", hint=CHOOSE,
            text=f"model.layers must be empty if model.encoder is set; {CHOOSE}"),
    Mistake({"encoder": None, "layers": []}, "model.encoder", None, "a network with a list of layers", CHOOSE,
            f"model.encoder must be a network with a list of layers, got None; {CHOOSE}"),
    Mistake({"encoder": {"layers": [{"conv": 4}, "pool", {"conv": 4}]}, "layers": [], "stride": 4}, "model.stride", 4,
            hint="choose another stride, so that this is one of its maps: 8x6, 4x3",
            text="model.stride: in model small, the encoder has no map of 2x1, got 4; choose another stride, so that "
            "this is one of its maps: 8x6, 4x3"),
    Mistake({"encoder": {"layers": ["pool"]}, "layers": [], "stride": 0}, "model.stride", 0,
            "a whole number of at least 1"),
    *[Mistake({"encoder": given, "layers": []}, "model.encoder", given, "a network with a list of layers", CHOOSE)
      for given in ({}, {"layers": "pool"})],
    Mistake({"zero_last_norm": True}, "model.zero_last_norm", True, hint="set it to false",
            text="model.zero_last_norm: no residual list of model small ends with a norm, got True; set it to false"),
    *[Mistake({"zero_last_norm": True, **layers({"residual": [*body]})}, "model.zero_last_norm", True,
              hint="set it to false")
      for body in (
          [{"conv": 4, "norm": "none"}],
          [{"conv": 4}, "activation"],
          [{"conv": 4}, {"squeeze_excite": 2}],
      )],
]  # fmt: skip
# Mistakes that are not refused yet, and why they cannot work.
MISSED = [
    (Mistake(layers({"module": "torch.nn.Softmax", "dim": 7}), FIRST),
     "the meta device does not check dim; IndexError in the first step"),
    (Mistake({"norm": {"batch": 3}, "layers": []}, "model.norm"), "no layer uses it"),
]  # fmt: skip

OF_LAYERS = [*GRAMMAR, *FILTERS, *OTHER_LEAVES, *PARTS, *STRUCTURES, *OF_CLASSIFIERS]
MISTAKES = [*OF_LAYERS, *SETTINGS, *OF_INNER_NETWORKS]


def plan_wrongly(change: dict[str, Any]) -> None:
    model = {key: value for key, value in {**MODEL, **change}.items() if value is not ...}
    plan(model, shape=(1, 8, 6), outputs=10)


def show(value: Any) -> str:
    return str(value.change)[:60] if isinstance(value, Mistake) else str(value)[:60]


@pytest.mark.parametrize("mistake", MISTAKES, ids=show)
def test_mistake_is_refused_with_its_place_its_value_and_the_way_out(mistake: Mistake) -> None:
    change, path, *fields = mistake
    got, allowed, hint, text = fields
    with refused(path, got=got, allowed=allowed, hint=hint, text=text) as caught:
        plan_wrongly(change)
    assert caught.value.hint or caught.value.allowed, "there is a way out"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mistake", OF_LAYERS, ids=show)
def test_mistake_in_a_layer_names_the_model(mistake: Mistake) -> None:
    with refused(mistake.path) as caught:
        plan_wrongly(mistake.change)
    assert re.search(r"\bmodel small\b", str(caught.value))


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(row, marks=pytest.mark.xfail(strict=True, reason=why)) for row, why in MISSED],
    ids=show,
)
def test_mistake_that_was_missed_is_refused(mistake: Mistake) -> None:
    with refused(mistake.path):
        plan_wrongly(mistake.change)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_must_be_written(key: str) -> None:
    with refused(f"model.{key}", hint="add it (none or [] for nothing)"):
        plan_wrongly({key: ...})


REASONS = [
    (module("torch.nn.ReLU", slope=1), "ReLU.__init__() got an unexpected keyword argument 'slope'"),
    (
        module("torch.nn.GroupNorm", num_groups=2, num_channels=3),
        "num_channels (3) must be divisible by num_",
    ),
    (module("torch.nn.Unflatten", dim=7, unflattened_size=[1, 1]), "Dimension out of range"),
]


@pytest.mark.parametrize(("change", "reason"), REASONS, ids=show)
def test_error_of_a_module_quotes_that_of_its_class(change: dict[str, Any], reason: str) -> None:
    with refused(FIRST) as caught:
        plan_wrongly(change)
    assert f" fails on its 1x8x6 input ({reason}" in caught.value.problem


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("torch.nn.Relu", "there is no torch.nn.Relu"),
        ("no_such_package.Layer", "there is no no_such_package.Layer"),
        ("torch.nn.init.zeros_", "torch.nn.init.zeros_ is not a class derived from, or made like, torch.nn."),
    ],
)
def test_module_that_is_no_class_of_a_module_is_refused(target: str, problem: str) -> None:
    with refused(FIRST) as caught:
        plan_wrongly(module(target))
    assert f" of model small, {problem}" in caught.value.problem


def test_layer_is_shown_as_it_is_written() -> None:
    change = layers({"residual": [{"conv": 4, "kernel": [2, 2]}], "repeat": 2})
    with refused("model.layers[0].residual[0]") as caught:
        plan_wrongly(change)
    assert caught.value.problem.startswith("in {conv: 4, kernel: [...]} of model small, padding ")


def test_mistake_in_a_part_shows_the_part_at_the_place_of_its_layer() -> None:
    with refused(FIRST, got=3, allowed="a divisor of 4 channels") as caught:
        plan_wrongly({"norm": {"group": 3}})
    assert caught.value.problem.startswith("in {group: 3} of model small, ")


def test_network_without_a_mistake_is_planned() -> None:
    plan_wrongly({})


def test_as_many_nested_lists_as_are_allowed_are_planned() -> None:
    plan_wrongly(layers(*nested_lists(32)))


def test_batch_norm_in_training_refuses_batches_of_one_image() -> None:
    alone = ["model=lenet5", "trainer.batch_size=1"]
    with refused("trainer.batch_size", got=1, hint="set model.norm=instance"):
        compose([*alone, "model.norm=batch"])
    compose([*alone, "model.norm={group: 2}"])


def test_every_refusal_in_the_source_has_its_row() -> None:
    raised = set()
    for mistake in MISTAKES:
        with refused(mistake.path) as caught:
            plan_wrongly(mistake.change)
        last = traceback.extract_tb(caught.tb)[-1]
        raised.add((Path(last.filename).name, last.lineno))
    written = {
        (file.name, node.lineno)
        for file in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Raise)
    }
    assert written == raised
