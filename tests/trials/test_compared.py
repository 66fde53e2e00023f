"""A sweep with scores that are not defined: they come last, and are left out of means over seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.composition import compose
from pipeline.runs.folder import RunFolder
from pipeline.trials.compared import GridJob, GridResults
from pipeline.trials.search import Outcome

SCORES = {"a": [nan, nan], "b": [nan, 0.6], "c": [0.0, 0.0], "d": [0.7, 0.9]}


@pytest.fixture
def results(tmp_path: Path) -> GridResults:
    jobs = []
    for point, scores in SCORES.items():
        for seed, score in enumerate(scores):
            folder = f"runs/{point}{seed}"
            (tmp_path / folder).mkdir(parents=True)
            selection = {"score": "accuracy", "majority": None, "baseline": {}}
            for name, content in (
                ("result", {"selection": selection}),
                ("metrics", {"score": score, "val/loss": 1.0}),
            ):
                (tmp_path / folder / f"{name}.json").write_text(json.dumps(content))
            declaration = compose(["experiment=digits_lenet5", f"seed={seed}"])
            outcome = Outcome(score, folder=folder)
            overrides = [f"model.name={point}", f"seed={seed}"]
            name = f"{point} seed={seed}"
            jobs.append(GridJob(overrides, declaration, tmp_path / folder, name, point, outcome))
    return GridResults("sweep", jobs, [], tmp_path, tmp_path)


def test_means_are_those_of_the_scores_that_are_defined_and_points_without_any_come_last(
    results: GridResults,
) -> None:
    rows = results._comparison(is_stopped=False).rows
    assert [row.name for row in rows] == ["d", "b", "c", "a"]
    assert [row.place for row in rows] == ["2 seeds", "1 seed", "2 seeds", "0 seeds"]
    assert [row.value for row in rows[:3]] == pytest.approx([0.8, 0.6, 0.0])
    assert isnan(rows[3].value)
    assert [row.spread for row in rows[1:]] == ["", "0.0000 to 0.0000", ""]
    results.show()
    assert "| a | not defined |" in results.page.read_text()


def test_points_are_told_apart_by_their_settings_though_their_names_are_cut_to_the_same(
    results: GridResults,
) -> None:
    jobs = [replace(job, point="model.widths=64, 64, ...") for job in results.jobs]
    rows = replace(results, jobs=jobs)._comparison(is_stopped=False).rows
    assert [row.value for row in rows[:3]] == pytest.approx([0.8, 0.6, 0.0])


def test_best_run_is_one_of_the_best_point_and_there_is_none_among_runs_of_different_scores(
    results: GridResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr(
        "pipeline.tracking.comparison.log_comparison", lambda *_, best, **__: logged.append(best)
    )
    for job in results.jobs:
        RunFolder(job.folder).update(mlflow_run_id=job.name)
    lucky = [
        replace(job, outcome=Outcome(1.0, folder="runs/c1")) if job.name == "c seed=1" else job
        for job in results.jobs
    ]
    results.show()
    sweep, tracked = replace(results, jobs=lucky), Any
    sweep.log(tracked)  # type: ignore[arg-type]
    selection = {"score": "auroc", "majority": None, "baseline": {}}
    (results.jobs[0].folder / "result.json").write_text(json.dumps({"selection": selection}))
    sweep.log(tracked)  # type: ignore[arg-type]
    assert [best and best.name for best in logged] == ["d seed=1", None]
