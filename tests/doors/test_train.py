"""The command of single runs: idempotent, resumable bit for bit, refused by name."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.declaration import keys
from pipeline.declaration.composition import compose
from pipeline.declaration.digests import PACKAGE, Closure, import_closure
from pipeline.declaration.keys import deciding, fingerprint, stage_digests
from pipeline.files import read_yaml
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RESULTS
from pipeline.runs.lock import locked
from pipeline.training.run import RunRequest, train
from tests.doors.project import ROOT, TINY, Project, kill_group
from tests.refusals import refused


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project.root)
    return project.root


def results(folder: Path, *, without: Collection[str] = ()) -> dict[str, bytes]:
    """Return the bytes of every file that a stage would publish of a run."""
    published = [folder / name for name in RESULTS if name not in without]
    files = [each for path in published for each in [path, *path.rglob("*")] if each.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def assert_same_results(one: Path, other: Path, *, without: Collection[str] = ()) -> None:
    first, second = results(one, without=without), results(other, without=without)
    assert first.keys() == second.keys() >= {"weights.pt", "history.csv", "metrics.json", "result.json"}
    assert [name for name in first if first[name] != second[name]] == []


def only_run(root: Path) -> Path:
    (folder,) = {path.parent for path in (root / "runs").glob("*/run.json")}
    return folder


def test_finished_run_is_found_and_the_store_has_all_of_it(here: Path) -> None:
    declaration, context = (
        compose([*TINY, "trainer.max_epochs=2", "trainer.keep=best"]),
        RunContext(here),
    )
    first = train(declaration, RunRequest("hydra", "one", waits=False), context)
    stamp = (first.path / "weights.pt").stat().st_mtime_ns
    again = train(declaration, RunRequest("dvc", "two", waits=True), context)
    assert again.path == first.path
    assert (first.path / "weights.pt").stat().st_mtime_ns == stamp

    client = MlflowClient(f"sqlite:///{here}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "one")
    assert run.data.tags["convoy.entry_point"] == "hydra"
    assert run.data.params["optimizer.lr"] == "0.03"
    assert len(client.get_metric_history(run.info.run_id, "val/accuracy")) == 2
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"
    assert {"convoy.fingerprint", "mlflow.source.git.commit", "convoy.data_digest"} <= run.data.tags.keys()
    files = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "pictures"} <= files


def test_loader_workers_and_progress_do_not_make_another_run(here: Path) -> None:
    plain = compose(TINY)
    assert fingerprint(plain, root=here) == fingerprint(
        compose([*TINY, "trainer.num_workers=2", "trainer.progress=false"]), root=here
    )
    assert fingerprint(plain, root=here) != fingerprint(compose([*TINY, "seed=1"]), root=here)


def test_second_process_is_refused_by_name(here: Path) -> None:
    declaration = compose([*TINY, "trainer.max_epochs=1"])
    run = f"runs/{fingerprint(declaration, root=here)}"
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    text = f"{run}: is being trained by {holder}; wait for it, or end that process"
    with locked(here / run / "lock", waits=False), refused(run, hint="wait for it", text=text):
        train(declaration, RunRequest("hydra", "x", waits=False), RunContext(here))


RESUMED = [
    *TINY[:2],
    "trainer.threads=1",
    "trainer.max_epochs=4",
    "tracking.log_model=false",
]  # with random augmentation


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    whole = Project(tmp_path_factory.mktemp("whole"))
    (whole.root / "data").symlink_to(ROOT / "data")
    whole.python("pipeline.train", *RESUMED)
    return whole


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "moment"), [(0, "epoch 2/4"), (2, "epoch 2/4")])
def test_killed_run_ends_with_the_results_of_one_never_killed(
    project: Project, never_killed: Project, workers: int, moment: str
) -> None:
    arguments = [*RESUMED, f"trainer.num_workers={workers}"]
    process = project.start(sys.executable, "-m", "pipeline.train", *arguments)
    project.wait_for(moment, process)
    kill_group(process)
    said = project.python("pipeline.train", *arguments)
    assert "epoch 1/4" not in said, "it started anew"

    assert_same_results(only_run(never_killed.root), only_run(project.root))
    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert run.info.status == "FINISHED"
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "train/loss")]
    assert sorted(steps) == [0, 1, 2, 3], "an epoch is missing or twice"


@pytest.mark.slow
def test_interrupted_run_is_killed_and_failed_run_failed_with_its_reason(project: Project) -> None:
    process = project.start(sys.executable, "-m", "pipeline.train", *TINY, "trainer.max_epochs=500")
    project.wait_for("epoch 2/", process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    said = project.python("pipeline.train", *TINY, "optimizer.lr=1e30", "trainer.max_epochs=2", fails=True)
    assert said.rstrip().splitlines()[-1].startswith("error: optimizer.lr: training diverged: the loss is ")
    assert "got 1e+30; lower it" in said

    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    states = {run.info.status: run.data.tags.get("convoy.reason", "") for run in runs}
    assert states.keys() == {"KILLED", "FAILED"}
    assert "training diverged" in states["FAILED"]


def test_bad_override_is_refused_before_anything_is_written(project: Project) -> None:
    said = project.python("pipeline.train", *TINY, "optimizer.lrr=0.1", fails=True)
    assert said.startswith("error: optimizer.lrr: unknown key 'lrr'; did you mean 'lr'?")
    assert "Traceback" not in said
    assert not (project.root / "runs").exists()


def test_dvc_trains_again_what_the_fingerprint_tells_apart(here: Path) -> None:
    stages = read_yaml((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    declaration = compose(TINY)

    def params_of(stage: str, file: str) -> list[str]:
        (found,) = (each[file] for each in stages[stage]["do"]["params"] if file in each)
        return list(found)

    params = params_of("train", "artifacts/search/${key}/best.json")
    assert set(params) >= {*deciding(declaration), "code.train"}
    assert set(params) <= {*declaration.digests(), "code.train"}
    for stage in ("prepare", "statistics", "augment", "evaluate"):
        assert f"code.{stage}" in params_of(stage, "artifacts/compose/${key}.json")
    everything = {*declaration.digests(), "options", "code.search", "code.train"}
    assert set(params_of("search", "artifacts/compose/${key}.json")) == everything
    assert stage_digests(declaration, root=here).keys() == stages.keys() - {"compose", "report"}


def test_code_that_makes_another_run_is_the_code_that_dvc_trains_again_for(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Change one module of the pipeline after the other."""
    declaration = compose(TINY)
    changed = ""

    @cache
    def closure(modules: tuple[str, ...], own: tuple[str, ...], without: tuple[str, ...]) -> Closure:
        return import_closure(modules, own=own, without=without, root=here)

    def read(modules: Iterable[str], *, own: Sequence[str], without: Sequence[str], root: Path) -> Closure:
        found = closure(tuple(modules), tuple(own), tuple(without))
        also = {changed: "changed"} if changed in found.digests else {}
        return Closure({**found.digests, **also}, found.libraries)

    def digests() -> dict[str, Any]:
        return {"run": fingerprint(declaration, root=here), **stage_digests(declaration, root=here)}

    monkeypatch.setattr(keys, "import_closure", read)
    before, moved = digests(), dict[str, set[str]]()
    for file in PACKAGE.rglob("*.py"):
        changed = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        after = digests()
        moved[changed] = {name for name in before if before[name] != after[name]}
    for module, names in moved.items():
        assert "run" not in names or names & {"prepare", "statistics", "train"}, module
        assert "run" in names or not names & {"prepare", "train"}, module
        assert "train" not in names or "search" in names, module
    everywhere = {"run", "search", "train", "evaluate"}
    assert moved["pipeline.training.learner"] == everywhere
    assert moved["pipeline.tasks.classification.task"] == everywhere
    assert moved["pipeline.transforms.statistics"] >= {"run", "statistics"}
    assert moved["pipeline.data.sources.class_folders"] >= {"run", "prepare"}
    assert moved["pipeline.pictures.statistics"] == {"statistics", "search", "evaluate"}, "it only draws"
    assert moved["pipeline.trials.runner"] == moved["pipeline.sweeps.pruners"] == {"search"}
    assert moved["pipeline.tasks.classification.cases"] == {"evaluate"}
    assert moved["pipeline.pages.render"] == {"search"}, "it writes a page"
    for unused in ("tasks.segmentation.task", "data.sources.image_masks", "data.targets.mask"):
        assert moved[f"pipeline.{unused}"] == set()


def test_equal_runs_have_equal_bytes_in_all_that_is_published(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    declaration = compose([*TINY, "trainer.max_epochs=2"])
    one, two = (
        train(declaration, RunRequest("hydra", name, waits=False), RunContext(root))
        for name, root in (("one", here), ("two", other))
    )
    assert_same_results(one.path, two.path)


def test_history_and_metrics_agree(here: Path) -> None:
    declaration = compose([*TINY, "trainer.max_epochs=3", "trainer.keep=last"])
    folder = train(declaration, RunRequest("hydra", "x", waits=False), RunContext(here))
    metrics = json.loads((folder.path / "metrics.json").read_text())
    history = folder.history()
    assert metrics["epoch"] == 2
    assert metrics["score"] == metrics["val/accuracy"] == history[-1]["val/accuracy"]
    assert [row["epoch"] for row in history] == [0, 1, 2]
    assert all("seconds" not in row for row in history), "they differ between equal runs"
    assert folder.seconds() > 0
