"""Construction: what a node names is made of its settings, and what refuses them is told by its place."""

from collections import OrderedDict
from pathlib import Path
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
        "optimizer._target_: pathlib.Path is not a class derived from, or made like, "
        "torch.nn.modules.module.Module, got 'pathlib.Path'; name one that is"
    )
    with refused("optimizer._target_", got="pathlib.Path", hint="name one that is", text=text):
        construct(evil, "optimizer", nn.Module)
    with refused("somewhere.some[0].inner._target_", got="pathlib.Path", hint="name one that is"):
        construct({"_target_": RECORD, "some": [{"inner": evil}]}, "somewhere", object)
    with refused("somewhere._target_", got="os.getcwd", hint="name one that is"):
        construct({"_target_": "os.getcwd"}, "somewhere", object)


@pytest.mark.parametrize(
    ("target", "kind"), [(f"{__name__}.HasNoMethods", Task), ("fractions.Fraction", Mixing)]
)
def test_class_that_lacks_the_methods_of_its_kind_is_refused(target: str, kind: type) -> None:
    with refused("somewhere._target_", got=target, hint="name one that is"):
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
    text = f"somewhere._target_: there is no {target}, got '{target}'; correct the name"
    with refused("somewhere._target_", got=target, hint="correct the name", text=text):
        construct({"_target_": target}, "somewhere", object)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("from math import no_such_name", "ImportError: cannot import name 'no_such_name' from 'math'"),
        ("class Step: (", "SyntaxError: '(' was never closed"),
    ],
)
@pytest.mark.parametrize("place", ["broken_steps.py", "broken_steps/__init__.py"])
def test_target_whose_module_fails_to_import_is_told_from_one_that_is_not_there(
    place: str, content: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(f"{content}\n")
    monkeypatch.syspath_prepend(tmp_path)
    node = {"_target_": RECORD, "steps": [{"_target_": "broken_steps.Step"}]}
    with refused("augmentation.steps[0]._target_", got="broken_steps.Step") as caught:
        construct(node, "augmentation", object)
    assert caught.value.problem.startswith(f"broken_steps cannot be imported ({reason}")
    assert caught.value.hint == "install what it imports, or correct it"


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
