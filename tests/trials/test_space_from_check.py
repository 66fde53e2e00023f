"""A space whose learning rate comes from the range test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.sanity import report
from pipeline.sanity.finding import FAULT, OK, Finding
from pipeline.sanity.starting import suggested_rates
from pipeline.sweeps.dimensions import Interval
from pipeline.trials.declared import load_search
from pipeline.trials.space import ALL_RATES, parse_space
from tests.refusals import refused
from tests.sanity.planted import declare

SPACE = "+search.space={optimizer.lr: 'from check'}"
OVERRIDES = ["experiment=digits_lenet5", "trainer.threads=1", SPACE, "search.name=checked"]


def test_rates_are_those_of_the_test_and_are_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report.run_checks(declare(), root=tmp_path, names=["rate"])["rate"].numbers
    search = load_search(OVERRIDES, root=tmp_path)
    (entry,) = search.entries
    assert isinstance(entry.dimension, Interval)
    assert entry.dimension.is_log
    assert (entry.dimension.low, entry.dimension.high) == pytest.approx(
        (found["low"], found["high"]), rel=0.1
    )
    assert search.identity["rates"] == [entry.dimension.low, entry.dimension.high]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(report, "run_checks", refuse)
    assert load_search(OVERRIDES, root=tmp_path).entries == search.entries
    (kept,) = (tmp_path / "cache" / "range_test").glob("*/range.json")
    assert list(json.loads(kept.read_text())) == ["low", "high"]


def test_declaration_that_learns_at_no_rate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding(FAULT, "the loss falls at no rate", "", {"lr": 0.03})
    monkeypatch.setattr(report, "run_checks", lambda *_, **__: {"rate": finding})
    with refused("search.space.optimizer.lr", got="from check", hint="write an interval"):
        load_search(OVERRIDES, root=tmp_path)
    assert list((tmp_path / "cache" / "range_test").glob("*/range.json")) == []
    finding = Finding(OK, "", "", {"low": 1.23456e-3, "high": 0.5})
    assert suggested_rates(declare(), root=tmp_path) == (1.2e-3, 0.5)


def test_space_can_be_read_before_the_test_is_made() -> None:
    (entry,) = parse_space({"optimizer.lr": "from check"})
    assert entry.dimension == Interval(*ALL_RATES, is_log=True)
    with refused("search.space.optimizer.momentum", got="from check", hint="only optimizer.lr can be taken"):
        parse_space({"optimizer.momentum": "from check"})
