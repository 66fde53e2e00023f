"""Construction: what a node names is made of its settings, and what refuses them is told by its place."""

from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.training.construction import construct, constructor
from tests.refusals import refused

RECORD = "types.SimpleNamespace"


def test_node_is_made_of_its_settings_and_of_what_is_given() -> None:
    given = object()
    made = construct({"_target_": RECORD, "a": 1, "b": "two"}, "somewhere", c=given)
    assert made == SimpleNamespace(a=1, b="two", c=given)
    assert made.c is given


def test_named_values_are_made_wherever_they_stand() -> None:
    half = {"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2}
    node = {"_target_": RECORD, "one": half, "some": [half, {"inner": half, "plain": 3}], "none": None}
    made = construct(node, "somewhere")
    assert made.one == Fraction(1, 2)
    assert made.some == [Fraction(1, 2), {"inner": Fraction(1, 2), "plain": 3}]
    assert made.none is None


def test_what_is_made_shares_no_list_or_mapping_with_the_declaration() -> None:
    node: dict[str, Any] = {"_target_": RECORD, "values": [1, [2]], "table": {"a": {}}}
    made = construct(node, "somewhere")
    made.values[1].append(3)
    made.table["a"]["b"] = 1
    assert node == {"_target_": RECORD, "values": [1, [2]], "table": {"a": {}}}


def test_constructor_makes_anew_each_time() -> None:
    make = constructor({"_target_": "collections.OrderedDict", "a": 1}, "somewhere")
    first, second = make(), make()
    assert first == second == OrderedDict(a=1)
    assert first is not second


def test_refusal_of_a_library_is_one_sentence_at_the_place_of_the_node() -> None:
    text = (
        "a.b[2]: fractions.Fraction refuses its settings: Invalid literal for Fraction: 'x\\ny'; correct them"
    )
    with refused("a.b[2]", hint="correct them", text=text):
        construct({"_target_": "fractions.Fraction", "numerator": "x\ny"}, "a.b[2]")


def test_setting_that_a_library_does_not_know_is_told_alike() -> None:
    with refused("somewhere", hint="correct them") as caught:
        construct({"_target_": "fractions.Fraction", "numerater": 1}, "somewhere")
    assert "'numerater'" in caught.value.problem


@pytest.mark.parametrize("target", ["fractions.Fractions", "no_such_module.Thing"])
def test_target_that_is_not_there_is_refused_by_name(target: str) -> None:
    text = f"somewhere._target_: there is no {target}, got '{target}'; correct the name"
    with refused("somewhere._target_", got=target, hint="correct the name", text=text):
        construct({"_target_": target}, "somewhere")


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
        construct(node, "augmentation")
    assert caught.value.problem.startswith(f"broken_steps cannot be imported ({reason}")
    assert caught.value.hint == "install what it imports, or correct it"


def test_attribute_of_a_class_is_found() -> None:
    made = construct({"_target_": "fractions.Fraction.from_float", "f": 0.5}, "somewhere")
    assert made == Fraction(1, 2)


def test_own_refusal_passes_as_it_is() -> None:
    own = ConfigError("elsewhere", "is wrong")
    with pytest.raises(ConfigError) as caught:
        construct({"_target_": f"{__name__}.refuse_by", "reason": own}, "somewhere")
    assert caught.value is own


def refuse_by(reason: ConfigError) -> None:
    raise reason
