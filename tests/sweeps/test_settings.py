"""The settings of a search: what is allowed, and what a mistake is answered with."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.sweeps.settings import FREE, SearchSettings

CONF = Path(__file__).parents[2] / "conf"
DEFAULTS: dict[str, Any] = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["search"]


def test_config_names_every_setting_with_a_default_that_is_taken() -> None:
    assert set(DEFAULTS) == {field.name for field in fields(SearchSettings)}
    SearchSettings.of(DEFAULTS)


@pytest.mark.parametrize(
    "changed",
    [
        {"trials": 1},
        {"seeds": 1},
        {"retries": 0},
        {"seed": 0},
        {"keep": 1.0},
        {"keep": 1e-9},
        {"sampler": "grid"},
        {"sampler": "qmc"},
        {"sampler": "tpe"},
        {"direction": "minimize"},
        {"metric": "val/loss"},
    ],
    ids=str,
)
def test_settings_at_the_edge_are_taken(changed: dict[str, Any]) -> None:
    [(key, value)] = changed.items()
    assert getattr(SearchSettings.of(DEFAULTS | changed), key) == value


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"trials": 0}, "search.trials must be at least 1, got 0"),
        ({"seeds": 0}, "search.seeds must be at least 1, got 0"),
        ({"retries": -1}, "search.retries must be at least 0, got -1"),
        ({"seed": -1}, "search.seed must be at least 0, got -1"),
        ({"keep": 0.0}, "search.keep must be above 0 and at most 1, got 0.0"),
        ({"keep": 1.01}, "search.keep must be above 0 and at most 1, got 1.01"),
        (
            {"sampler": "randm"},
            "search.sampler: unknown sampler 'randm'; did you mean 'random'? allowed: grid, qmc, random, tpe",
        ),
        (
            {"direction": "max"},
            "search.direction: unknown direction 'max'; did you mean 'maximize'? allowed: maximize, minimize",
        ),
        ({"name": ""}, "search.name must be a word that can name a folder, got ''"),
        ({"name": "../a"}, "search.name must be a word that can name a folder, got '../a'"),
    ],
    ids=lambda each: str(each) if isinstance(each, dict) else "",
)
def test_setting_out_of_range_is_refused_by_name(changed: dict[str, Any], answer: str) -> None:
    with pytest.raises(ConfigError) as refused:
        SearchSettings.of(DEFAULTS | changed)
    assert str(refused.value) == answer


def test_identity_holds_all_but_what_may_change_while_the_search_goes_on() -> None:
    identity = SearchSettings.of(DEFAULTS).identity()
    assert set(identity) == set(DEFAULTS) - {"trials", "retries", "plan"}
    for key, value in {"trials": 9, "retries": 9, "plan": True}.items():
        assert key in FREE
        assert SearchSettings.of(DEFAULTS | {key: value}).identity() == identity
    assert SearchSettings.of(DEFAULTS | {"seed": 1}).identity() != identity
