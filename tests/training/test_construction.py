"""Construction: what a node names is made of its settings, and what refuses them is told by its place."""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from pipeline.errors import ConfigError
from pipeline.tasks.task import Task
from pipeline.training.construction import construct, constructor
from pipeline.transforms.mixing import Mixing
from tests.refusals import refused

RECORD = "types.SimpleNamespace"


def test_node_is_made_of_its_settings_and_of_what_is_given() -> None:
    given = object()
    made = construct({"_target_": RECORD, "a": 1, "b": "two"}, "somewhere", SimpleNamespace, c=given)
    assert made == SimpleNamespace(a=1, b="two", c=given)
    assert made.c is given


def test_named_values_are_made_wherever_they_stand() -> None:
    relu = {"_target_": "torch.nn.ReLU"}
    node = {"_target_": RECORD, "one": relu, "some": [relu, {"inner": relu, "plain": 3}], "none": None}
    made = construct(node, "somewhere", object)
    assert isinstance(made.one, nn.ReLU)
    assert isinstance(made.some[0], nn.ReLU)
    assert isinstance(made.some[1].pop("inner"), nn.ReLU)
    assert made.some[1:] == [{"plain": 3}]
    assert made.none is None


def test_target_of_another_kind_is_refused_before_it_is_made() -> None:
    evil = {"_target_": "pathlib.Path"}
    text = (
        "optimizer: pathlib.Path refuses its settings: pathlib.Path is not a class derived from, or made like, "
        "torch.nn.modules.module.Module; correct them"
    )
    with refused("optimizer", hint="correct them", text=text):
        construct(evil, "optimizer", nn.Module)
    with refused("somewhere.some[0].inner", hint="correct them"):
        construct({"_target_": RECORD, "some": [{"inner": evil}]}, "somewhere", object)
    with refused("somewhere", hint="correct them"):
        construct({"_target_": "os.getcwd"}, "somewhere", object)


@pytest.mark.parametrize(
    ("target", "kind"), [(f"{__name__}.HasNoMethods", Task), ("fractions.Fraction", Mixing)]
)
def test_class_that_lacks_the_methods_of_its_kind_is_refused(target: str, kind: type) -> None:
    with refused("somewhere", hint="correct them"):
        construct({"_target_": target}, "somewhere", kind)
    made: Any = construct({"_target_": f"{__name__}.IsACall"}, "somewhere", Mixing)
    assert isinstance(made, IsACall)


def test_what_is_made_shares_no_list_or_mapping_with_the_declaration() -> None:
    node: dict[str, Any] = {"_target_": RECORD, "values": [1, [2]], "table": {"a": {}}}
    made = construct(node, "somewhere", object)
    made.values[1].append(3)
    made.table["a"]["b"] = 1
    assert node == {"_target_": RECORD, "values": [1, [2]], "table": {"a": {}}}


def test_constructor_makes_anew_each_time() -> None:
    make = constructor({"_target_": "collections.OrderedDict", "a": 1}, "somewhere", dict)
    first, second = make(), make()
    assert first == second == OrderedDict(a=1)
    assert first is not second


def test_refusal_of_a_library_is_one_sentence_at_the_place_of_the_node() -> None:
    text = (
        "a.b[2]: fractions.Fraction refuses its settings: Invalid literal for Fraction: 'x\\ny'; correct them"
    )
    with refused("a.b[2]", hint="correct them", text=text):
        construct({"_target_": "fractions.Fraction", "numerator": "x\ny"}, "a.b[2]", object)


def test_setting_that_a_library_does_not_know_is_told_alike() -> None:
    with refused("somewhere", hint="correct them") as caught:
        construct({"_target_": "fractions.Fraction", "numerater": 1}, "somewhere", object)
    assert "'numerater'" in caught.value.problem


@pytest.mark.parametrize("target", ["fractions.Fractions", "no_such_module.Thing"])
def test_target_that_is_not_there_is_refused_by_name(target: str) -> None:
    with refused("somewhere", hint="correct them") as caught:
        construct({"_target_": target}, "somewhere", object)
    assert caught.value.problem.startswith(f"{target} refuses its settings: there is no {target}: ")


def test_own_refusal_passes_as_it_is() -> None:
    own = ConfigError("elsewhere", "is wrong")
    with pytest.raises(ConfigError) as caught:
        construct({"_target_": f"{__name__}.RefuseBy", "reason": own}, "somewhere", object)
    assert caught.value is own


class RefuseBy:
    def __init__(self, reason: ConfigError) -> None:
        raise reason


class HasNoMethods: ...


class IsACall:
    def __call__(self) -> None: ...
