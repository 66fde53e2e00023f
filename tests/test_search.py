"""The stage of searches: who has none passes through, and a changed one starts anew."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import search as stage
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import write_declaration
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.lock import locked
from pipeline.sweeps.dimensions import Interval
from pipeline.sweeps.ledger import Ledger
from pipeline.trials import runner
from pipeline.trials.declared import load_search
from pipeline.trials.search import Outcome, Search
from tests.launches import COARSE, Trainings, by_rate, table
from tests.refusals import refused

DATA = Path(__file__).parents[1] / "data"
LEDGER = Path("runs") / "searches" / "digits_lenet5-coarse"
CONTEXT = RunContext(Path("project"), parent="1f0", search=str(LEDGER))
Run = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs the stage on some overrides in a project of its own, and returns what it wrote."""
    (tmp_path / "data").symlink_to(DATA)
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> Path:
        write_declaration(compose(overrides), tmp_path / "declared.yaml", root=tmp_path)
        monkeypatch.setattr(sys, "argv", ["search", "declared.yaml", "artifacts/search/digits", *overrides])
        stage.main()
        return tmp_path / "artifacts" / "search" / "digits"

    return run


class Tracked:
    """Stand in for the parent run of a search, which MLflow would keep."""

    run_id = "1f0"

    def __init__(self, root: Path) -> None:
        self.store = SimpleNamespace(root=root)

    def end(self, status: str, *, reason: str = "") -> None:
        """Close the run."""


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Search]:
    """Let stand-ins train for searches, without MLflow; return the searches that were run."""
    found: list[Search] = []

    def open_parent(search: Search, *, root: Path, entry_point: str) -> Tracked:
        assert entry_point in ("dvc", "sweep")
        found.append(search)
        return Tracked(root)

    monkeypatch.setattr(runner, "_open_parent", open_parent)
    logged = RunFolder(tmp_path / "logged")
    logged.update(mlflow_run_id="the best child")
    monkeypatch.setattr(runner, "_log_best", lambda *_: logged)
    monkeypatch.setattr(runner.Objective, "of", lambda *_: runner.Objective("val/accuracy", None))
    monkeypatch.setattr("pipeline.tracking.comparison.log_search", lambda *_, **__: None)
    monkeypatch.setattr(runner, "launch_here", lambda *_: Trainings(by_rate))
    monkeypatch.setattr(runner, "tell_improvement", lambda *_, **__: "the best trial is better")
    return found


def test_declaration_without_a_search_is_its_own_best(run: Run, searches: list[Search]) -> None:
    out = run("experiment=digits_lenet5", "optimizer.lr=0.02")
    assert {path.name for path in out.iterdir()} == {"best.yaml", "best.json", "digests.json"}
    assert (out / "best.yaml").read_text() == Path("declared.yaml").read_text()
    digests, declared = (json.loads(path.read_text()) for path in (out / "best.json", Path("declared.json")))
    declared.pop("options", None)  # which the search alone depends on, as on other stages' code
    assert digests == {**declared, "code": {"train": declared["code"]["train"]}}
    assert load(out / "best.yaml").optimizer["lr"] == 0.02
    assert not searches
    assert not Path("runs").exists()


def test_best_of_a_search_is_a_declaration_that_can_be_trained(run: Run, searches: list[Search]) -> None:
    out = run(*COARSE, "search.trials=4")
    [search] = searches
    best = load(out / "best.yaml")
    trials = Ledger(LEDGER).trials().values()
    point = max(trials, key=lambda trial: trial.values[0]).point
    assert best == compose([*COARSE, "search.trials=4", *(f"{key}={value}" for key, value in point.items())])
    wanted = {
        "trials.csv",
        "best.yaml",
        "best.json",
        "digests.json",
        "remarks.txt",
        "search.html",
        "best_so_far.png",
        "slices.png",
    }
    assert {path.name for path in out.iterdir()} == wanted | {"parallel.png"}
    assert search.settings.trial is None


def test_search_that_goes_on_keeps_its_trials(
    run: Run, searches: list[Search], capsys: pytest.CaptureFixture[str]
) -> None:
    run(*COARSE, "search.trials=2")
    first = Ledger(LEDGER).trials()
    run(*COARSE, "search.trials=4")
    assert table(list(Ledger(LEDGER).trials().values())[:2]) == table(list(first.values()))
    assert "starts anew" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ("search.seed=1", "search.seed was 0 there and is 1 now"),
        ("optimizer.momentum=0.5", "declaration.optimizer.momentum was 0.9 there and is 0.5 now"),
    ],
)
def test_changed_search_starts_anew_and_says_where_the_old_one_lies(
    run: Run, searches: list[Search], capsys: pytest.CaptureFixture[str], changed: str, difference: str
) -> None:
    run(*COARSE, "search.trials=2")
    first = Ledger(LEDGER).trials()
    capsys.readouterr()
    run(*COARSE, "search.trials=2", changed)
    place = Path.cwd() / LEDGER.with_name("digits_lenet5-coarse.before1")
    assert capsys.readouterr().err == (
        f"search: {difference}; it starts anew, and what was there lies in {place}\n"
    )
    assert Ledger(place).trials() == first
    assert Ledger(LEDGER).about()["identity"] == searches[-1].identity
    assert [trial.attempts for trial in Ledger(LEDGER).trials().values()] == [1, 1]


def test_search_around_another_starts_anew_around_that_one(run: Run, searches: list[Search]) -> None:
    for number, name in enumerate(("one", "two")):
        run(*COARSE, "search.trials=4", f"search.name={name}", f"search.seed={number}")
    fine = ["experiment=digits_lenet5", "search=fine", "search.trials=3"]
    ledger = Ledger(LEDGER.with_name("digits_lenet5-fine"))
    for name in ("one", "two"):
        run(*fine, f"from={name}")
        earlier = Ledger(LEDGER.with_name(f"digits_lenet5-{name}")).trials().values()
        best = [trial.point for trial in sorted(earlier, key=lambda trial: -trial.values[0])[:2]]
        assert ledger.about()["around"] == searches[-1].around == best
        rates = [trial.point["optimizer.lr"] for trial in ledger.trials().values()]
        (rate,) = (entry.dimension for entry in searches[-1].entries if entry.key == "optimizer.lr")
        assert isinstance(rate, Interval)
        assert all(rate.low <= each <= rate.high for each in rates)
    assert (
        Ledger(LEDGER.with_name("digits_lenet5-fine.before1")).about()["identity"]["search"]["from"] == "one"
    )


def test_search_that_another_process_runs_is_not_set_aside(
    run: Run, searches: list[Search], tmp_path: Path
) -> None:
    """The stage would wait for that process, a sweep is refused."""
    run(*COARSE, "search.trials=2")
    before = {path: path.read_bytes() for path in LEDGER.rglob("*") if path.is_file() and path.name != "lock"}
    for changed in ([], ["search.seed=1"]):
        search = load_search([*COARSE, "search.trials=2", *changed], root=tmp_path)
        with (
            locked(LEDGER / "lock", waits=False),
            refused("search digits_lenet5-coarse", hint="wait for it") as mistake,
        ):
            runner.run_search(search, root=tmp_path, entry_point="sweep")
        assert mistake.value.problem == f"is being run by process {os.getpid()} on {socket.gethostname()}"
        assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in LEDGER.parent.iterdir()] == [LEDGER.name]
    run(*COARSE, "search.trials=2", "search.seed=1")
    assert LEDGER.with_name("digits_lenet5-coarse.before1").exists()


def test_what_was_published_stays_as_it_is_when_the_search_goes_on(
    run: Run, searches: list[Search], tmp_path: Path
) -> None:
    """DVC keeps the digests of what it published, and its files are those of the search's folder."""
    published = run(*COARSE, "search.trials=2")
    results = LEDGER / "results"
    assert (published / "trials.csv").samefile(results / "trials.csv")
    before = {path.name: path.read_bytes() for path in published.iterdir()}
    longer = load_search([*COARSE, "search.trials=4"], root=tmp_path)
    runner.run_search(longer, root=tmp_path, entry_point="sweep")
    assert {path.name: path.read_bytes() for path in published.iterdir()} == before
    assert {path.name for path in results.iterdir()} | {"digests.json"} == set(
        before
    )  # written by publishing
    assert len((results / "trials.csv").read_text().splitlines()) == 1 + 4
    assert [path.name for path in LEDGER.glob("results*")] == ["results"]


def test_plan_is_refused_by_the_stage(run: Run, searches: list[Search]) -> None:
    text = "plan: searches nothing, got True; leave it out of what DVC reproduces"
    with refused("plan", got=True, hint="leave it out", text=text):
        run(*COARSE, "plan=true")
    assert not searches
    assert not Path("runs").exists()


@pytest.mark.parametrize("given", [[], ["declared.yaml"]])
def test_too_few_arguments_are_told_with_the_usage(
    given: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["search", *given])
    path = "python -m pipeline.search"
    hint = f"usage: {path} <declaration>.yaml <folder to write> experiment=<name> [overrides]"
    with refused(path, hint=hint, text=f"{path}: expected at least 2 arguments, got {len(given)}; {hint}"):
        stage.main()


def test_training_that_raises_is_the_end_of_its_trial_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def attempt(
        declaration: Declaration, job: Sequence[str], context: RunContext, *, entry_point: str
    ) -> Outcome:
        assert (declaration.seed, context, entry_point) == (int(job[-1][-1]), CONTEXT, "dvc")
        if "seed=1" in job:
            raise RuntimeError("out of\nmemory")
        if "seed=2" in job:
            raise ConfigError("optimizer", "no such\nclass")
        return Outcome(0.5)

    monkeypatch.setattr(runner, "attempt", attempt)
    jobs = [["search=coarse", f"search.trial={seed}", f"seed={seed}"] for seed in range(4)]
    launch = runner.launch_here(CONTEXT, "dvc")
    outcomes = launch([*jobs, ["search=coarse", "optimizer.lrr=1", "search.trial=4"]])
    assert [(outcome.value, outcome.reason) for outcome in outcomes[:4]] == [
        (0.5, ""),
        (None, "RuntimeError: out of memory"),
        (None, "optimizer: no such class"),
        (0.5, ""),
    ]
    assert outcomes[4].reason.startswith("optimizer.lrr: unknown key 'lrr'; did you mean 'lr'?")


def test_trial_is_given_up_at_its_first_training_that_fails_or_is_pruned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained = []

    def attempt(
        declaration: Declaration, job: Sequence[str], context: RunContext, *, entry_point: str
    ) -> Outcome:
        trained.append(tuple(job[1:]))
        return Outcome(0.5, is_pruned=tuple(job[1:]) == ("search.trial=0", "seed=1"))

    monkeypatch.setattr(runner, "attempt", attempt)
    jobs = [
        ["search=coarse", f"search.trial={trial}", f"seed={seed}"] for trial in range(2) for seed in range(3)
    ]
    outcomes = runner.launch_here(CONTEXT, "dvc")(jobs)
    assert [outcome.value for outcome in outcomes] == [0.5, 0.5, None, 0.5, 0.5, 0.5]
    assert ("search.trial=0", "seed=2") not in trained
    assert len(trained) == 5
