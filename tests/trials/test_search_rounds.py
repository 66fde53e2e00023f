"""Rounds: each draws from a space that the trials before it decide, and that is worth its while."""

from __future__ import annotations

from dataclasses import replace
from math import log10
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.ledger import Trial
from pipeline.sweeps.refine import refined
from tests.launches import Settings, Trainings, by_rate, planted

ENTRIES = [
    Entry("optimizer.lr", Interval(1e-4, 1.0, is_log=True)),
    Entry("k", Choice(("a", "b", "c"))),
    Entry("count", Interval(1, 9, is_integer=True)),
]


def by_rate_and_k(settings: Settings) -> float:
    return by_rate(settings) - "bac".index(settings["k"])


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_space_of_a_round_depends_on_the_trials_before_it_alone(tmp_path: Path, sampler: str) -> None:
    search = planted(tmp_path, ENTRIES, trials=14, rounds=3, sampler=sampler)
    known = {trial.index: trial for trial in search.run(Trainings(by_rate_and_k))}
    spaces = list(search.spaces(known))
    assert spaces[0] == (ENTRIES, [])
    for start, number in ((4, 1), (9, 2)):  # 14 trials in three rounds: 4, 5 and 5
        before = {index: trial for index, trial in known.items() if index < start}
        assert list(search.spaces(before)) == spaces[: number + 1]
        later = {
            i: Trial(i, {"optimizer.lr": 1e-4, "k": "c"}, "finished", 1, [9.0]) for i in range(start, 14)
        }
        assert list(search.spaces(before | later))[: number + 1] == spaces[: number + 1]
        for gone in (start - 1, 0):
            running = before | {gone: replace(before[gone], state="running", values=[])}
            assert list(search.spaces(running)) == spaces[: 1 if gone == 0 else number]
    rates = [entries[0].dimension for entries, _ in spaces]
    for indices, rate in zip(search.settings.rounds_of_trials(), rates, strict=True):
        assert isinstance(rate, Interval)
        assert all(rate.low <= known[index].point["optimizer.lr"] <= rate.high for index in indices)


def test_round_is_drawn_around_the_best_share_of_all_before_it(tmp_path: Path) -> None:
    search = planted(tmp_path, ENTRIES, trials=24, rounds=3, keep=0.5)
    trials = search.run(Trainings(by_rate_and_k))
    spaces = [entries for entries, _ in search.spaces({trial.index: trial for trial in trials})]
    entries = ENTRIES
    for start, num_best in ((8, 4), (16, 8)):
        best = sorted(trials[:start], key=lambda trial: -trial.values[0])[:num_best]
        entries, _ = refined(entries, [trial.point for trial in best])
        assert spaces[start // 8] == entries
        assert entries != spaces[start // 8 - 1]


def test_pruned_and_failed_trials_end_a_round_but_do_not_place_the_next(tmp_path: Path) -> None:
    search = planted(tmp_path, ENTRIES, trials=8, rounds=2)
    ends: dict[int, dict[str, Any]] = {
        0: {"state": "finished", "values": [0.1]},
        1: {"state": "finished", "values": [0.2]},
        2: {"state": "pruned", "values": [0.9]},
        3: {"state": "failed", "reason": "out of memory"},
    }
    points = search.points()[:4]
    known = {index: Trial(index, points[index], **end) for index, end in ends.items()}
    first, second = search.spaces(known)
    assert second == refined(first[0], [points[1], points[0]])
    nothing = {index: Trial(index, points[index], "failed") for index in range(4)}
    assert list(search.spaces(nothing)) == [(ENTRIES, []), (ENTRIES, [])]


def test_plan_knows_the_points_of_the_first_round_and_of_what_was_tried(tmp_path: Path) -> None:
    fresh = planted(tmp_path / "fresh", ENTRIES, trials=12, rounds=3)
    trials = fresh.run(Trainings(by_rate))
    assert planted(tmp_path / "new", ENTRIES, trials=12, rounds=3).points() == [t.point for t in trials[:4]]
    assert fresh.points() == [trial.point for trial in trials]


def test_rounds_beat_random_where_the_best_is_one_place(tmp_path: Path) -> None:
    """At equal budget: two of six keys matter, one on a logarithmic scale; how far off the best of 36 trials is."""
    entries = [
        Entry(f"k{number}", Interval(1e-4, 1.0, is_log=True) if number == 1 else Interval(0.0, 1.0))
        for number in range(6)
    ]
    off: dict[int, list[float]] = {1: [], 3: []}
    for seed in range(20):
        target = np.random.default_rng(seed).random(2)

        def response(settings: Settings, target: Any = target) -> float:
            shares = (log10(float(settings["k1"])) + 4) / 4, float(settings["k4"])
            return -float(np.hypot(*(target - shares)))

        for rounds, found in off.items():
            search = planted(tmp_path / f"{rounds}-{seed}", entries, trials=36, rounds=rounds, seed=seed)
            found.append(-max(trial.values[0] for trial in search.run(Trainings(response))))
    assert fmean(off[3]) < 0.75 * fmean(off[1])
