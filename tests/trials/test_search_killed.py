"""A search that is killed, wherever and however often, ends as one that never was."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.ledger import Trial
from tests.launches import JudgedTrainings, Killed, Trainings, by_rate, coarse, planted, settings_of, table

ENTRIES = [Entry("optimizer.lr", Interval(1e-4, 1.0, is_log=True)), Entry("k", Choice(("a", "b")))]


@pytest.mark.parametrize(
    ("changed", "deaths", "num_launches"),
    [
        ({"sampler": "random"}, {0}, 14),
        ({"sampler": "random"}, {0, 1, 4, 7, 13}, 14),
        ({"sampler": "random"}, {13, 14}, 14),
        ({"sampler": "tpe"}, {3, 10, 11, 13, 17}, 14),
        # Rounds of 4, 5 and 5 trials begin after the fourth and the ninth.
        ({"rounds": 3}, {0, 4, 5, 10, 15}, 14),
        ({"sampler": "qmc", "rounds": 3}, {3, 4, 9}, 14),
        # Five batches; of the two that were killed, each of the three trials is launched alone.
        ({"parallel": 3}, {0, 2, 5, 6}, 9),
        ({"sampler": "tpe", "parallel": 3}, {3, 4, 6}, 7),
        # Six batches: of 3, 1, 3, 2, 3 and 2. One of 1 and one of 3 are killed.
        ({"sampler": "qmc", "rounds": 3, "parallel": 3}, {1, 3, 5, 7}, 8),
    ],
    ids=str,
)
def test_killed_search_ends_as_one_never_killed(
    tmp_path: Path, changed: dict[str, Any], deaths: set[int], num_launches: int
) -> None:
    overrides = ["search.trials=14", *(f"search.{key}={value}" for key, value in changed.items())]
    wanted = coarse(tmp_path / "whole", *overrides).run(Trainings(by_rate))
    trainings = Trainings(by_rate, deaths)
    for _ in deaths:
        with pytest.raises(Killed):
            coarse(tmp_path / "killed", *overrides).run(trainings)
    search = coarse(tmp_path / "killed", *overrides)
    found = search.run(trainings)
    assert table(found) == table(wanted)
    assert len(trainings.launched) == num_launches + len(deaths), "only a killed launch is repeated"
    launched = Counter(tuple(job) for jobs in trainings.launched for job in jobs)
    attempts = {
        tuple(job): trial.attempts for trial in found for job in search.jobs(trial.index, trial.point)
    }
    assert launched == attempts


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "changed",
    [
        {"sampler": "random"},
        {"sampler": "tpe"},
        {"sampler": "random", "rounds": 3},
        {"sampler": "qmc", "rounds": 3, "parallel": 3},
        {"sampler": "tpe", "parallel": 3, "pruner": "median"},
        {"sampler": "qmc", "rounds": 3, "parallel": 3, "pruner": "halving", "seeds": 2},
    ],
    ids=str,
)
def test_search_killed_between_any_two_writes_ends_as_one_never_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], seed: int
) -> None:
    """Batches die in the middle of being announced and of being recorded, too."""

    def trainings_of(root: Path) -> JudgedTrainings:
        search = planted(root, ENTRIES, trials=14, **changed)
        return JudgedTrainings(lambda settings: 5 + by_rate(settings), ledger=root, search=search.settings)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    wanted = planted(whole, ENTRIES, trials=14, **changed).run(trainings_of(whole))
    rng = np.random.default_rng(seed)
    replace = Path.replace
    trainings = trainings_of(killed)

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
            search = planted(killed, ENTRIES, trials=14, retries=50, **changed)
            found = search.run(trainings)
            break
        except Killed:
            deaths += 1
    assert deaths > 0
    assert table(found) == table(wanted)
    assert {trial.state for trial in found} == (
        {"finished", "pruned"} if "pruner" in changed else {"finished"}
    )
    launched = Counter(tuple(job) for jobs in trainings.launched for job in jobs)
    jobs = {tuple(job): trial for trial in found for job in search.jobs(trial.index, trial.point)}
    assert set(launched) == set(jobs)
    assert all(count <= jobs[job].attempts for job, count in launched.items())


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


def test_trials_that_were_killed_together_are_launched_alone_afterwards(tmp_path: Path) -> None:
    trainings = Trainings(by_rate, deaths={1})
    overrides = ["search.trials=9", "search.parallel=3"]
    with pytest.raises(Killed):
        coarse(tmp_path, *overrides).run(trainings)
    coarse(tmp_path, *overrides).run(trainings)
    launched = [[settings_of(job)["search.trial"] for job in jobs] for jobs in trainings.launched]
    assert launched == [list("012"), list("345"), ["3"], ["4"], ["5"], list("678")]
