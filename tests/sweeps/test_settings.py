"""The settings of a search: what is allowed, and what a mistake is answered with."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

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
        {"rounds": 1},
        {"folds": 1},
        {"warmup": 1},
        {"factor": 2},
        {"parallel": 1},
        {"retries": 0},
        {"seed": 0},
        {"pruner": "median"},
        {"pruner": "halving"},
        {"pruner": "hyperband"},
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
        ({"rounds": 0}, "search.rounds must be at least 1, got 0"),
        ({"seeds": 0}, "search.seeds must be at least 1, got 0"),
        ({"folds": 0}, "search.folds must be at least 1, got 0"),
        ({"warmup": 0}, "search.warmup must be at least 1, got 0"),
        ({"factor": 1}, "search.factor must be at least 2, got 1"),
        ({"parallel": 0}, "search.parallel must be at least 1, got 0"),
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
        (
            {"pruner": "medium"},
            "search.pruner: unknown pruner 'medium'; did you mean 'median'? allowed: halving, hyperband, median, none",
        ),
        (
            {"seeds": 2, "space": {"seed": "range(0, 5)"}},
            "search.seeds: the space draws seed too; remove it there, or set search.seeds=1",
        ),
        (
            {"folds": 2, "space": {"data.fold.index": "range(0, 5)"}},
            "search.folds: the space draws data.fold too; remove it there, or set search.folds=1",
        ),
        (
            {"trials": 9, "rounds": 2, "sampler": "tpe"},
            "search.rounds: tpe does not draw from a space that narrows; use search.sampler=random or qmc, or "
            "search.rounds=1",
        ),
        (
            {"trials": 9, "rounds": 2, "sampler": "grid"},
            "search.rounds: grid does not draw from a space that narrows; use search.sampler=random or qmc, or "
            "search.rounds=1",
        ),
        (
            {"trials": 2, "rounds": 3},
            "search.rounds: 2 trials cannot be cut into 3 rounds; raise search.trials",
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


@pytest.mark.parametrize(
    ("set_up", "free"),
    [
        ({}, ["trials", "parallel", "retries", "trial"]),
        # Where a round begins follows from the number of trials.
        ({"trials": 9, "rounds": 3}, ["parallel", "retries", "trial"]),
        # Who is known to a trial, to be told to TPE or to be compared with, follows from the batches.
        ({"sampler": "tpe"}, ["trials", "retries", "trial"]),
        ({"pruner": "median"}, ["trials", "retries", "trial"]),
        ({"trials": 9, "rounds": 3, "pruner": "halving"}, ["retries", "trial"]),
    ],
    ids=str,
)
def test_identity_holds_all_but_what_may_change_while_the_search_goes_on(
    set_up: dict[str, Any], free: list[str]
) -> None:
    others: dict[str, Any] = {
        "name": "other", "space": {"k": "choice(1, 2)"}, "trials": 99, "rounds": 2, "keep": 0.5,
        "metric": "val/loss", "direction": "minimize", "seed": 1, "sampler": "qmc", "seeds": 2, "folds": 2,
        "pruner": "hyperband", "warmup": 2, "factor": 4, "parallel": 2, "retries": 9, "trial": 1,
    }  # fmt: skip
    settings = DEFAULTS | {"trials": 9} | set_up
    identity = SearchSettings.of(settings).identity()
    assert set(identity) == set(DEFAULTS) - set(free)
    assert set(FREE) <= set(free)
    for key in set(DEFAULTS) - {"sampler", "rounds"}:  # which exclude each other
        assert (SearchSettings.of(settings | {key: others[key]}).identity() == identity) == (key in free), key


@given(trials=st.integers(1, 200), data=st.data())
def test_rounds_share_the_trials_evenly_in_their_order(trials: int, data: st.DataObject) -> None:
    rounds = data.draw(st.integers(1, trials))
    found = SearchSettings.of(DEFAULTS | {"trials": trials, "rounds": rounds}).rounds_of_trials()
    assert [index for indices in found for index in indices] == list(range(trials))
    assert len(found) == rounds
    assert {len(indices) for indices in found} <= {trials // rounds, -(-trials // rounds)}
