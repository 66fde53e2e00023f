"""A search that is killed, wherever and however often, ends as one that never was."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.ledger import Trial
from tests.launches import Killed, Trainings, by_rate, coarse, planted


def table(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [(trial.index, trial.point, trial.state, trial.values, trial.reason) for trial in trials]


@pytest.mark.parametrize(
    ("sampler", "deaths"),
    [
        ("random", {0}),
        ("random", {0, 1, 4, 7, 13}),
        ("random", {13, 14}),
        ("tpe", {3, 10, 11, 13, 17}),
    ],
    ids=str,
)
def test_killed_search_ends_as_one_never_killed(tmp_path: Path, sampler: str, deaths: set[int]) -> None:
    overrides = ["search.trials=14", f"search.sampler={sampler}"]
    wanted = coarse(tmp_path / "whole", *overrides).run(Trainings(by_rate))
    trainings = Trainings(by_rate, deaths)
    for _ in deaths:
        with pytest.raises(Killed):
            coarse(tmp_path / "killed", *overrides).run(trainings)
    found = coarse(tmp_path / "killed", *overrides).run(trainings)
    assert table(found) == table(wanted)
    assert len(trainings.launched) == 14 + len(deaths), "only a killed launch is repeated"
    launched = Counter(tuple(job) for [job] in trainings.launched)
    assert [
        launched[tuple(job)] for trial in found for job in coarse(tmp_path, *overrides).jobs(trial.point)
    ] == [trial.attempts for trial in found]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_search_killed_between_any_two_writes_ends_as_one_never_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, seed: int
) -> None:
    entries = [Entry("optimizer.lr", Interval(1e-4, 1.0, is_log=True)), Entry("k", Choice(("a", "b")))]
    wanted = planted(tmp_path / "whole", entries, sampler=sampler, trials=14).run(Trainings(by_rate))
    rng = np.random.default_rng(seed)
    replace = Path.replace
    trainings = Trainings(by_rate)

    def dies(path: Path, target: Path) -> Path:
        if rng.random() < 0.05:
            raise Killed  # a draft is left behind
        done = replace(path, target)
        if rng.random() < 0.05:
            raise Killed
        return done

    monkeypatch.setattr(Path, "replace", dies)
    found: list[Trial] = []
    deaths = 0
    for _ in range(100):
        try:
            search = planted(tmp_path / "killed", entries, sampler=sampler, trials=14, retries=50)
            found = search.run(trainings)
            break
        except Killed:
            deaths += 1
    assert deaths > 0
    assert table(found) == table(wanted)
    launched = Counter(str(jobs) for jobs in trainings.launched)
    assert sum(launched.values()) <= 14 + deaths
    assert set(launched) == {
        str([["optimizer.lr=" + str(trial.point["optimizer.lr"]), "k=" + trial.point["k"]]])
        for trial in found
    }


def test_trial_killed_more_often_than_its_retries_fails_and_the_next_is_tried(tmp_path: Path) -> None:
    trainings = Trainings(by_rate, deaths={1, 2, 3})
    overrides = ["search.trials=3", "search.retries=2"]
    for _ in range(3):
        with pytest.raises(Killed):
            coarse(tmp_path, *overrides).run(trainings)
    trials = coarse(tmp_path, *overrides).run(trainings)
    assert [trial.state for trial in trials] == ["finished", "failed", "finished"]
    assert (trials[1].attempts, trials[1].reason) == (3, "was killed 3 times")
    assert len(trainings.launched) == 5
