"""Trials that are launched together: who dies alone, who is asked to stop, and what they know of each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.sweeps.dimensions import Entry, Interval
from pipeline.sweeps.ledger import Ledger, Trial
from pipeline.trials.search import Died, Outcome
from tests.launches import JudgedTrainings, Settings, Trainings, by_rate, planted, settings_of, table

ENTRIES = [Entry("optimizer.lr", Interval(1e-4, 1.0, is_log=True))]


class Poisoned:
    """Launch jobs; die with all of them where some trials are among them.

    Args:
        poison: trial -> how many launches with it die.
    """

    def __init__(self, launch: Trainings, poison: dict[int, int]) -> None:
        self.launched: list[list[int]] = []
        self._launch = launch
        self._poison = dict(poison)

    def __call__(self, jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        trials = [int(settings_of(job)["search.trial"]) for job in jobs]
        self.launched.append(trials)
        deadly = [trial for trial in trials if self._poison.get(trial, 0) > 0]
        for trial in deadly:
            self._poison[trial] -= 1
        if deadly:
            raise Died("the worker was killed by signal 9")
        return self._launch(jobs)


def trials_of(jobs: Sequence[Sequence[str]]) -> list[int]:
    return [int(settings_of(job)["search.trial"]) for job in jobs]


def test_batches_are_launched_in_order_and_as_large_as_asked_for(tmp_path: Path) -> None:
    trainings = Trainings(by_rate)
    trials = planted(tmp_path, ENTRIES, trials=8, parallel=3, seeds=2).run(trainings)
    assert [trials_of(jobs) for jobs in trainings.launched] == [
        [0, 0, 1, 1, 2, 2],
        [3, 3, 4, 4, 5, 5],
        [6, 6, 7, 7],
    ]
    for trial in trials:
        assert trial.values == [by_rate({"optimizer.lr": str(trial.point["optimizer.lr"])})] * 2


@pytest.mark.parametrize(
    ("poison", "retries", "launched", "ends"),
    [
        # It dies in the batch, by itself, and in its two retries; the others finish.
        (
            {1: 9},
            2,
            [[0, 1, 2], [0], [1], [1], [1], [2], [3, 4]],
            "finished failed finished finished finished",
        ),
        ({1: 2}, 2, [[0, 1, 2], [0], [1], [1], [2], [3, 4]], "finished finished finished finished finished"),
        (
            {0: 9, 2: 9},
            1,
            [[0, 1, 2], [0], [0], [1], [2], [2], [3, 4]],
            "failed finished failed finished finished",
        ),
        ({4: 9}, 1, [[0, 1, 2], [3, 4], [3], [4], [4]], "finished finished finished finished failed"),
        # A death of the batch is nobody's, even where none is forgiven.
        ({1: 1}, 0, [[0, 1, 2], [0], [1], [2], [3, 4]], "finished finished finished finished finished"),
        ({1: 9}, 0, [[0, 1, 2], [0], [1], [2], [3, 4]], "finished failed finished finished finished"),
        # A batch of one that dies is launched by itself from the start.
        ({6: 1}, 2, [[0, 1, 2], [3, 4, 5], [6], [6]], "finished " * 7),
    ],
    ids=str,
)
def test_batch_that_dies_is_launched_one_by_one(
    tmp_path: Path, poison: dict[int, int], retries: int, launched: list[list[int]], ends: str
) -> None:
    num_trials = max(max(batch) for batch in launched) + 1
    trainings = Poisoned(Trainings(by_rate), poison)
    trials = planted(tmp_path, ENTRIES, trials=num_trials, parallel=3, retries=retries).run(trainings)
    assert trainings.launched == launched
    assert [trial.state for trial in trials] == ends.split()
    for trial in trials:
        if trial.state == "failed":
            times = {0: "once", 1: "2 times", 2: "3 times"}[retries]
            assert trial.reason == f"was killed {times}: the worker was killed by signal 9"
        assert trial.attempts == max(launched.count([trial.index]), 1)
    assert list(Ledger(tmp_path).trials().values()) == trials


@pytest.mark.parametrize(
    "changed", [{"sampler": "tpe"}, {"pruner": "median"}, {"pruner": "halving"}], ids=str
)
def test_batches_that_died_end_as_those_that_did_not(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Launched by itself, a trial must not know of those it was launched with."""
    tables = []
    for name, poison in (("whole", {}), ("died", {4: 1, 9: 1, 14: 1})):
        search = planted(tmp_path / name, ENTRIES, trials=18, parallel=4, **changed)
        trainings = JudgedTrainings(
            lambda settings: 5 + by_rate(settings), ledger=tmp_path / name, search=search.settings
        )
        tables.append(table(search.run(Poisoned(trainings, poison))))
    assert tables[0] == tables[1]


def test_each_trial_is_reported_once_when_it_is_settled(tmp_path: Path) -> None:
    reported: list[Trial] = []
    search = planted(tmp_path, ENTRIES, trials=5, parallel=3, retries=0)
    trials = search.run(Poisoned(Trainings(by_rate), {4: 2}), report=reported.append)
    assert sorted(reported, key=lambda trial: trial.index) == trials
    assert {trial.state for trial in trials} == {"finished", "failed"}
    reported.clear()
    search.run(Trainings(by_rate), report=reported.append)
    assert reported == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])  # Lightning turns the one into the other
def test_who_asks_to_stop_gives_the_whole_batch_its_retries_back(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    def stopped(jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        raise stop

    search = planted(tmp_path, ENTRIES, trials=5, parallel=3, retries=1)
    for _ in range(4):
        with pytest.raises(stop):
            search.run(stopped)
        assert [(each.state, each.attempts) for each in Ledger(tmp_path).trials().values()] == [
            ("running", 0)
        ] * 3
    trials = search.run(Trainings(by_rate))
    assert [(trial.state, trial.attempts) for trial in trials] == [("finished", 1)] * 5


def test_trial_that_survived_a_death_ends_as_one_that_never_died(tmp_path: Path) -> None:
    whole = planted(tmp_path / "whole", ENTRIES, trials=2).run(Trainings(by_rate))
    search = planted(tmp_path / "died", ENTRIES, trials=2)
    assert table(search.run(Poisoned(Trainings(by_rate), {1: 2}))) == table(whole)


def test_who_asks_to_stop_after_a_batch_died_gives_all_their_retries_back(tmp_path: Path) -> None:
    answers: list[BaseException] = [Died("the worker was killed by signal 9"), KeyboardInterrupt()]

    def stopped(jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        raise answers.pop(0)

    search = planted(tmp_path, ENTRIES, trials=3, parallel=3, retries=0)
    with pytest.raises(KeyboardInterrupt):
        search.run(stopped)
    assert [trial.state for trial in search.run(Trainings(by_rate))] == ["finished"] * 3


def test_tpe_knows_all_trials_of_earlier_batches_and_no_others(tmp_path: Path) -> None:
    def points(changed: int, value: float) -> list[dict[str, Any]]:
        def response(settings: Settings) -> float:
            return value if int(settings["search.trial"]) == changed else by_rate(settings)

        root = tmp_path / f"{changed}:{value}"
        search = planted(root, ENTRIES, trials=20, parallel=4, sampler="tpe")
        return [trial.point for trial in search.run(Trainings(response))]

    whole = points(99, 0)
    for trial in range(12, 16):  # those of the last batch but one: now the best of all, now the worst
        found = [points(trial, value) for value in (9, -9)]
        assert [each[:16] for each in found] == [whole[:16]] * 2, "a trial's value is not known to its batch"
        assert any(each[16:] != whole[16:] for each in found)
