"""What a search found: the table of all trials, the best as a declaration, remarks on edges."""

from __future__ import annotations

import csv
from pathlib import Path

import yaml

from pipeline.sweeps.dimensions import Entry, Interval
from pipeline.sweeps.ledger import Trial
from pipeline.trials.results import at_edges, format_best, write_results
from pipeline.trials.search import Outcome
from tests.launches import Trainings, by_rate, coarse

RATE = Entry("optimizer.lr", Interval(1.0e-4, 1.0, is_log=True))


def test_results_hold_every_trial_and_the_best_as_a_declaration(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=4", "search.seeds=2")
    answers = iter([0.5, 0.7, 0.9, 0.9, None, None, 0.2, 0.4])

    def launch(jobs: object) -> list[Outcome]:
        assert isinstance(jobs, list)
        values = [next(answers) for _ in jobs]
        return [Outcome(value, "" if value is not None else "out of memory") for value in values]

    trials = search.run(launch)
    folder = write_results(search, trials)
    with (folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["finished", "finished", "failed", "finished"]
    assert [row["value"] for row in rows] == ["0.6", "0.9", "", "0.3"]
    assert [row["error"] for row in rows] == ["0.1", "0", "", "0.1"]
    assert rows[2]["reason"] == "out of memory"
    best = yaml.safe_load((folder / "best.yaml").read_text())
    assert best["optimizer"]["lr"] == trials[1].point["optimizer.lr"]
    assert {path.name for path in folder.glob("*.png")} == {"best_so_far.png", "slices.png", "parallel.png"}
    told = format_best(search, trials)
    assert told.splitlines()[3].split()[:3] == ["1", "0.9000", "0.0000"]
    assert told.endswith("trial 2 failed: out of memory\n")


def test_results_that_were_half_written_when_killed_leave_nothing_behind(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=2")
    trials = search.run(Trainings(by_rate))
    draft = search.ledger.folder / "results.unfinished"
    draft.mkdir()
    (draft / "half.png").touch()
    names = {path.name for path in write_results(search, trials).iterdir()}
    assert "half.png" not in names
    assert names == {path.name for path in write_results(search, trials).iterdir()}
    assert not draft.exists()


def test_best_value_at_an_edge_is_remarked() -> None:
    best = Trial(0, {"optimizer.lr": 0.9}, "finished", 1, [0.5])
    assert at_edges([RATE], best) == [
        "optimizer.lr: the best value, 0.9, lies at the edge of 0.0001 to 1; better ones may lie beyond (a search "
        "from this one widens there)"
    ]
    assert at_edges([RATE], Trial(0, {"optimizer.lr": 0.01}, "finished", 1, [0.5])) == []
    assert at_edges([RATE], Trial(0, {}, "finished", 1, [0.5])) == [], "the key does not count there"
