"""`python -m pipeline.compare`: which runs are compared, what it leaves, and what it refuses."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from pipeline.compare import COMMAND, main
from pipeline.comparisons.compared import compare
from pipeline.comparisons.methods import Method, find_methods, find_points
from pipeline.declaration.declaration import Declaration
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.tracking.parents import Parent
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store
from pipeline.training.run import RunRequest, train
from tests.makers import write_class_folders
from tests.refusals import refused
from tests.tasks.kinds import CLASSES
from tests.tasks.test_contract import declare

pytestmark = pytest.mark.slow
IMAGES = 12  # of a class, in each split


def trained(
    declaration: Declaration, root: Path, name: str = "run", context: RunContext | None = None
) -> RunFolder:
    return train(declaration, RunRequest("test", name, waits=False), context or RunContext(root))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a run of seeds 0 and 1, one that learnt nothing, and a sweep of both."""
    root = tmp_path_factory.mktemp("compared")
    learnt = declare("classification", root, max_epochs=1)
    write_class_folders(root / "data.zip", classes=CLASSES, num_images=IMAGES)
    unlearnt = learnt.replace(name="unlearnt", optimizer={**learnt.sections["optimizer"], "lr": 1e-9})
    swept = TrackedRun.start(Store(root, "tiny"), name="a sweep", parent=None, tags={})
    with Parent(swept, swept=["seed"]) as parent:
        for declaration in (learnt, unlearnt):
            for seed in (0, 1):
                trained(
                    declaration.replace(seed=seed), root, f"{declaration.name}, seed {seed}", parent.context
                )
    return root


def run_of(root: Path, name: str, seed: int) -> str:
    for file in (root / "runs").glob("*/run.json"):
        state = RunFolder(file.parent).state()
        if state["name"] == name and state["identity"]["declaration"]["seed"] == seed and state["parent"]:
            return str(file.parent)
    raise AssertionError(name)


def test_a_run_stands_for_all_that_differ_in_their_seed(root: Path) -> None:
    one, other = find_methods(
        [run_of(root, "tiny_classification", 1), run_of(root, "unlearnt", 0)], root=root
    )
    assert sorted(one.runs) == sorted(other.runs) == [0, 1]
    assert other.first.declaration.name == "unlearnt"
    with refused(run_of(root, "unlearnt", 1), hint="name runs that differ otherwise, too"):
        find_methods([run_of(root, "unlearnt", 0), run_of(root, "unlearnt", 1)], root=root)


def test_points_of_a_sweep_come_best_first_on_validation_images(root: Path) -> None:
    _, points = find_points("a sweep", root=root)
    assert {point.name for point in points} == {"tiny_classification", "unlearnt"}
    assert [sorted(point.runs) for point in points] == [[0, 1], [0, 1]]
    assert points[0].validation() >= points[1].validation()
    with refused("-m", got="another", hint="`make ui` shows"):
        find_points("another", root=root)


def test_comparison_is_of_the_same_images_one_by_one(root: Path) -> None:
    methods = find_methods([run_of(root, "tiny_classification", 0), run_of(root, "unlearnt", 0)], root=root)
    found = compare(methods, root=root)
    assert found.score == "accuracy"
    assert found.image_scores.shape == (2, IMAGES * len(CLASSES))
    assert found.values == pytest.approx(found.image_scores.mean(axis=1))
    assert found.differences[0].value == pytest.approx(found.values[1] - found.values[0])
    assert found.differences[0].num_seeds == 2
    with refused("score", got="acuracy", hint="did you mean 'accuracy'?"):
        compare(methods, root=root, score="acuracy")


def test_runs_on_other_data_are_refused(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    declaration = declare("classification", other, max_epochs=1)
    run = trained(declaration, root)
    methods = find_methods([run_of(root, "unlearnt", 0), str(run.path)], root=root)
    with refused(str(run.path), hint="compare methods that were trained on the same data"):
        compare(methods, root=root)
    masks = trained(declare("segmentation", other / "masks", max_epochs=1), root)
    methods = find_methods([run_of(root, "unlearnt", 0), str(masks.path)], root=root)
    with refused(str(masks.path), hint="compare methods of one task"):
        compare(methods, root=root)


def test_seeds_that_one_method_lacks_are_said_and_no_common_seed_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = find_methods(
        [run_of(root, "tiny_classification", 0), run_of(root, "unlearnt", 0)], root=root
    )
    found = compare([one, Method("short", {1: other.runs[1]})], root=root)
    assert found.seeds == [[1]]
    assert "only one of the methods was trained with seed 0" in capsys.readouterr().err
    with refused("late", hint="train both with the same seeds"):
        compare([one, Method("late", {2: other.runs[0], 3: other.runs[1]})], root=root)


def test_command_prints_writes_and_logs_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names = [run_of(root, "tiny_classification", 0), run_of(root, "unlearnt", 0)]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["compare", *names, "out=differences"])
        main()
    assert "minus that of" in " ".join(capsys.readouterr().out.split())
    out = root / "differences"
    with (out / "images.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == IMAGES * len(CLASSES)
    assert "differences.png" in {path.name for path in (out / "pictures").iterdir()}
    store = Store(root, "tiny")
    logged = store.client.search_runs([store.experiment_id], "tags.`convoy.compared` LIKE 'accuracy%'")
    assert len(logged) == 1
    assert any(name.startswith("difference/accuracy/") for name in logged[0].data.metrics)


def test_comparison_of_a_sweep_is_logged_to_the_sweep(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["compare", "-m", "a sweep"])
    main()
    run_id, points = find_points("a sweep", root=root)
    metrics = Store(root, "tiny").client.get_run(run_id).data.metrics
    found = compare(points, root=root).differences[0]
    assert metrics[f"difference/accuracy/{points[1].name}"] == found.value
    assert metrics[f"difference/accuracy/{points[1].name}_low"] == found.total[0]
    assert len(list((root / "runs" / "comparisons").iterdir())) == 1


@pytest.mark.parametrize("given", [[], ["one"], ["-m"], ["-m", "a", "b"], ["a", "-m", "b"]])
def test_command_needs_two_runs_or_a_sweep(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compare", *given])
    with refused(COMMAND, hint="usage: "):
        main()


def test_unknown_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["compare", "a", "b", "scor=dice"])
    with refused(COMMAND, got="scor", hint="did you mean 'score'?"):
        main()
