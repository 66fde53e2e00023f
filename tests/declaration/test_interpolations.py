"""Interpolations of interpolations are counted before they are resolved."""

from typing import Any

import pytest

from pipeline.declaration.composition import compose, compose_sections
from pipeline.declaration.interpolations import check_interpolations
from tests.refusals import refused

TEXTS: dict[str, Any] = {"a0": "ha" * 10} | {f"a{n}": f"${{a{n - 1}}}" * 9 for n in range(1, 30)}
LISTS: dict[str, Any] = {"a0": ["ha"] * 10} | {f"a{n}": [f"${{a{n - 1}}}"] * 9 for n in range(1, 30)}
RELATIVE = {"a": {"a0": "ha" * 10} | {f"a{n}": f"${{.a{n - 1}}}${{..a.a{n - 1}}}" * 9 for n in range(1, 30)}}


@pytest.mark.parametrize("config", [TEXTS, LISTS, RELATIVE], ids=["texts", "lists", "relative"])
def test_interpolations_that_multiply_are_refused(config: dict[str, Any]) -> None:
    with refused("a" if config is RELATIVE else "a29", hint="write values out"):
        check_interpolations(config)


def test_refusal_names_the_setting_and_the_sizes() -> None:
    text = (
        "b: the config has 1,999,999 characters once its interpolations are replaced, more than 1,000,000; write "
        "values out"
    )
    with refused("b", text=text):
        check_interpolations({"a": "a" * 666_660, "b": "${a}${a}" + "b" * 11})


@pytest.mark.parametrize(
    "config",
    [
        {"a": "${a}"},
        {"a": "${b}", "b": "${a}"},
        {"a": "${nowhere.b}"},
        {"a": [1, "${a[0]}"]},
        {"a": "${oc.env:HOME}"},
    ],
    ids=str,
)
def test_what_resolving_reports_is_left_to_it(config: dict[str, Any]) -> None:
    check_interpolations(config)


def test_interpolations_on_the_command_line_are_counted() -> None:
    doubled = [f"+data.a{n}='{f'${{data.a{n - 1}}}' * 9}'" for n in range(1, 12)]
    with refused("data", hint="write values out"):
        compose_sections(["+data.a0=hahahaha", *doubled])
    assert compose([]).name == "digits_lenet5"
