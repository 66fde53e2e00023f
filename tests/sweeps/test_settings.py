"""The settings of a search: what is allowed, and what a mistake is answered with."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.names import NAME
from pipeline.sweeps.settings import FREE, SearchSettings
from tests.refusals import refused

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


SHARE = "above 0 and at most 1"
NARROWS = (
    "search.rounds: the sampler {} does not support a space that narrows between rounds, got 2; use "
    "search.sampler=random or qmc, or search.rounds=1"
)
REFUSED: list[tuple[str, dict[str, Any], Any, str, str]] = [
    # setting, what is changed, what is allowed, the way out, what is said
    ("trials", {"trials": 0}, "from 1 to 100000", "", "search.trials must be from 1 to 100000, got 0"),
    ("rounds", {"rounds": 0}, "at least 1", "", ""),
    ("seeds", {"seeds": 0}, "from 1 to 1000", "", ""),
    ("folds", {"folds": 0}, "from 1 to 1000", "", ""),
    ("warmup", {"warmup": 0}, "from 1 to 1000000", "", ""),
    ("factor", {"factor": 1}, "at least 2", "", ""),
    ("parallel", {"parallel": 0}, "from 1 to 1000", "", ""),
    ("retries", {"retries": -1}, "from 0 to 1000", "", ""),
    ("seed", {"seed": -1}, "from 0 to 4294967295", "", ""),
    ("seed", {"seed": 2**32}, "from 0 to 4294967295", "", ""),
    ("keep", {"keep": 0.0}, SHARE, "", "search.keep must be above 0 and at most 1, got 0.0"),
    ("keep", {"keep": 1.01}, SHARE, "", ""),
    ("sampler", {"sampler": "randm"}, ["random", "grid", "qmc", "tpe"], "did you mean 'random'?",
     "search.sampler: unknown sampler 'randm'; did you mean 'random'? allowed: grid, qmc, random, tpe"),
    ("direction", {"direction": "max"}, ["maximize", "minimize"], "did you mean 'maximize'?",
     "search.direction: unknown direction 'max'; did you mean 'maximize'? allowed: maximize, minimize"),
    ("pruner", {"pruner": "medium"}, ["none", "median", "halving", "hyperband"], "did you mean 'median'?",
     "search.pruner: unknown pruner 'medium'; did you mean 'median'? allowed: halving, hyperband, median, none"),
    ("seeds", {"seeds": 2, "space": {"seed": "range(0, 5)"}}, "", "or set search.seeds=1",
     "search.seeds: search.space samples seed, too, got 2; remove seed from search.space, or set search.seeds=1"),
    ("folds", {"folds": 2, "space": {"data.fold.index": "range(0, 5)"}}, "", "remove data.fold from search.space",
     "search.folds: search.space samples data.fold, too, got 2; remove data.fold from search.space, or set "
     "search.folds=1"),
    ("rounds", {"trials": 9, "rounds": 2, "sampler": "tpe"}, "", "sampler=random or qmc", NARROWS.format("tpe")),
    ("rounds", {"trials": 9, "rounds": 2, "sampler": "grid"}, "", "or search.rounds=1", NARROWS.format("grid")),
    ("rounds", {"trials": 2, "rounds": 3}, "at most search.trials=2", "raise search.trials",
     "search.rounds must be at most search.trials=2, got 3; choose fewer rounds, or raise search.trials"),
    ("name", {"name": ""}, NAME, "", ""),
    ("name", {"name": "../a"}, NAME, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "changed", "allowed", "hint", "text"),
    REFUSED,
    ids=lambda each: str(each) if isinstance(each, dict) else "",
)
def test_setting_out_of_range_is_refused_by_name(
    key: str, changed: dict[str, Any], allowed: Any, hint: str, text: str
) -> None:
    with refused(f"search.{key}", got=changed[key], allowed=allowed, hint=hint, text=text):
        SearchSettings.of(DEFAULTS | changed)


@pytest.mark.parametrize(
    ("set_up", "free"),
    [
        ({}, ["trials", "parallel", "retries", "trial"]),
        # Where a round begins follows from the number of trials.
        ({"trials": 9, "rounds": 3}, ["parallel", "retries", "trial"]),
        # Who is known to a trial, to be an observation of TPE or to be compared with, follows from the batches.
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
