"""What a search found: the table of all trials, the best as a declaration, remarks on edges."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from pipeline.declaration.composition import compose
from pipeline.declaration.keys import fingerprint, stage_digests
from pipeline.declaration.loading import load
from pipeline.files import yaml_text
from pipeline.pages.comparison import Row
from pipeline.runs.folder import RunFolder
from pipeline.sweeps.dimensions import Entry, Interval
from pipeline.sweeps.ledger import Trial
from pipeline.trials.names import name_trial
from pipeline.trials.results import Objective, at_edges, compare_trials, format_plan, write_results
from pipeline.trials.search import Outcome, Search
from tests.launches import Trainings, by_rate, coarse

BY_ACCURACY = Objective("val/accuracy", 0.1023)
IMPROVEMENT = "the best trial is better"
RATE = Entry("optimizer.lr", Interval(1.0e-4, 1.0, is_log=True))


def test_results_hold_every_trial_and_the_best_as_a_declaration(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=4", "search.seeds=2")
    answers = iter([0.5, 0.7, 0.9, 0.9, None, None, 0.2, 0.4])

    def launch(jobs: object) -> list[Outcome]:
        assert isinstance(jobs, list)
        values = [next(answers) for _ in jobs]
        return [Outcome(value, "" if value is not None else "out of memory") for value in values]

    trials = search.run(launch)
    folder = write_results(search, trials, objective=BY_ACCURACY, improvement=IMPROVEMENT, root=tmp_path)
    with (folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["finished", "finished", "failed", "finished"]
    assert [row["value"] for row in rows] == ["0.6", "0.9", "", "0.3"]
    assert [row["error"] for row in rows] == ["0.1", "0", "", "0.1"]
    assert rows[2]["reason"] == "out of memory"
    best = load(folder / "best.yaml")
    assert best == compose(search.at(trials[1].point))
    digests = json.loads((folder / "best.json").read_text())
    assert digests == {**best.digests(), "code": {"train": stage_digests(best, root=tmp_path)["train"]}}
    assert {path.name for path in folder.glob("*.png")} == {"best_so_far.png", "slices.png", "parallel.png"}
    compared = compare_trials(search, trials, objective=BY_ACCURACY, root=tmp_path)
    run = fingerprint(compose(search.jobs(1, trials[1].point)[0]), root=tmp_path)
    name = f"trial 1: {name_trial(trials[1])}"
    assert compared.rows[0] == Row(name, 0.9, "0.0000", f"runs/{run}")
    assert compared.score == "val/accuracy"
    assert compared.notes == ["always guessing the majority class: 0.1023"]
    assert compared.failures == [(f"trial 2: {name_trial(trials[2])}", "out of memory")]


def test_results_that_were_half_written_when_killed_leave_nothing_behind(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=2")
    trials = search.run(Trainings(by_rate))
    draft = search.ledger.folder / "results.unfinished"
    draft.mkdir()
    (draft / "half.png").touch()
    names = _written(search, trials, tmp_path)
    assert "half.png" not in names
    assert names == _written(search, trials, tmp_path)
    assert not draft.exists()


def _written(search: Search, trials: list[Trial], root: Path) -> set[str]:
    folder = write_results(search, trials, objective=BY_ACCURACY, improvement=IMPROVEMENT, root=root)
    assert (folder / "remarks.txt").read_text().splitlines()[0] == IMPROVEMENT
    return {path.name for path in folder.iterdir()}


def finish(
    root: Path, name: str, overrides: list[str], seconds: list[float], *, state: str = "finished"
) -> None:
    """Write what a run leaves that took some seconds per epoch."""
    folder = RunFolder(root / "runs" / name)
    folder.update(state=state)
    folder.declaration.write_text(yaml_text(dict(compose(overrides).sections)), encoding="utf-8")
    if state == "finished":
        (folder.path / "result.json").write_text("{}")
    folder.write_history([{"epoch": float(n), "seconds": each} for n, each in enumerate(seconds)])
    folder.seal()


def test_plan_estimates_seconds_from_finished_runs_on_the_same_data(tmp_path: Path) -> None:
    lenet = ["experiment=digits_lenet5", "trainer.max_epochs=4"]
    for name, seconds in (("a", [1.0, 1.0, 1.0, 1.0]), ("b", [2.0, 3.0, 2.0, 1.0]), ("c", [9.0] * 4)):
        finish(tmp_path, name, lenet, seconds)  # 4, 8 and 36 seconds: the median is 2 seconds per epoch
    finish(tmp_path, "d", lenet, [0.1] * 4, state="running")
    finish(tmp_path, "e", ["experiment=brain_unet", "trainer.max_epochs=4"], [0.1] * 4)
    finish(tmp_path, "f", lenet, [0.1] * 4)
    older = RunFolder(tmp_path / "runs" / "f").declaration  # of a version that had fewer keys
    older.write_text(
        "".join(each for each in older.read_text().splitlines(keepends=True) if "max_pixels" not in each)
    )
    search = coarse(tmp_path, "search.trials=3", "search.seeds=2", "trainer.max_epochs=5")
    *rows, note = format_plan(search, root=tmp_path).splitlines()
    assert [row.split()[-1] for row in rows] == ["seconds", "20", "20", "20"]  # 2 s, 5 epochs, 2 seeds
    assert note == "about 60 seconds in all, estimated from finished runs on these data"


def test_best_value_at_an_edge_is_remarked() -> None:
    best = Trial(0, {"optimizer.lr": 0.9}, "finished", 1, [0.5])
    assert at_edges([RATE], best) == [
        "optimizer.lr: the best value, 0.9, lies at the edge of 0.0001 to 1; better ones may lie beyond (a search "
        "from this one widens there)"
    ]
    assert at_edges([RATE], Trial(0, {"optimizer.lr": 0.01}, "finished", 1, [0.5])) == []
    assert at_edges([RATE], Trial(0, {}, "finished", 1, [0.5])) == [], "the key does not count there"
