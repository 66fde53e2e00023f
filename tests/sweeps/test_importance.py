"""Importance: the keys that decide the value, and no others, have it."""

import numpy as np
import pytest

from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.importance import importances
from pipeline.sweeps.samplers import Random

ENTRIES = [
    Entry("lr", Interval(1.0e-4, 1.0, is_log=True)),
    Entry("model", Choice(("lenet5", "vgg11"))),
    Entry("nothing", Interval(0.0, 1.0)),
    Entry("absent", Interval(0.0, 1.0), when=("model", "vgg11")),
]


def test_key_that_decides_the_value_has_the_importance() -> None:
    points = [Random(ENTRIES, seed=0).point(index, []) for index in range(60)]
    values = [-abs(np.log10(point["lr"]) + 2) for point in points]
    found = importances(ENTRIES, points, values)
    assert sum(found.values()) == pytest.approx(1)
    assert found["lr"] > 0.9
    assert found.keys() == {"lr", "model", "nothing", "absent"}


def test_condition_that_is_not_met_is_a_value_of_its_own() -> None:
    points = [Random(ENTRIES, seed=0).point(index, []) for index in range(60)]
    found = importances(ENTRIES, points, [float("absent" in point) for point in points])
    assert found["model"] + found["absent"] > 0.95


@pytest.mark.parametrize(("count", "value"), [(9, None), (30, 0.5)], ids=["too few", "all equal"])
def test_nothing_is_said_of_what_cannot_be_told(count: int, value: float | None) -> None:
    points = [Random(ENTRIES, seed=0).point(index, []) for index in range(count)]
    assert importances(ENTRIES, points, [index if value is None else value for index in range(count)]) == {}
