"""The door of single runs: idempotent, resumable bit for bit, refused by name."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from pipeline.declaration.composition import compose
from pipeline.declaration.keys import CODE, fingerprint
from pipeline.errors import ConfigError
from pipeline.runs.lock import locked
from pipeline.training.run import RunRequest, train
from tests.doors.project import ROOT, TINY, Project, kill_group


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project.root)
    return project.root


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "weights.pt", weights_only=True)


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def only_run(root: Path) -> Path:
    (folder,) = {path.parent for path in (root / "runs").glob("*/run.json")}
    return folder


def test_finished_run_is_found_and_the_store_has_all_of_it(here: Path) -> None:
    config = compose([*TINY, "trainer.max_epochs=2", "trainer.keep=best"])
    first = train(config, RunRequest("hydra", "one", waits=False), root=here)
    stamp = (first.path / "weights.pt").stat().st_mtime_ns
    again = train(config, RunRequest("dvc", "two", waits=True), root=here)
    assert again.path == first.path
    assert (first.path / "weights.pt").stat().st_mtime_ns == stamp

    client = MlflowClient(f"sqlite:///{here}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert run.info.status == "FINISHED"
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
    config = compose([*TINY, "trainer.max_epochs=1"])
    lock = here / "runs" / fingerprint(config, root=here) / "lock"
    with (
        locked(lock, waits=False),
        pytest.raises(ConfigError, match=rf"being trained by process {os.getpid()} on .*; wait for it"),
    ):
        train(config, RunRequest("hydra", "x", waits=False), root=here)


RESUMED = [*TINY[:2], "trainer.max_epochs=4", "tracking.log_model=false"]  # with random augmentation


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    whole = Project(tmp_path_factory.mktemp("whole"))
    (whole.root / "data").symlink_to(ROOT / "data")
    whole.python("pipeline.train", *RESUMED)
    return whole


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "moment"), [(0, "epoch 2/4"), (2, "epoch 2/4")])
def test_killed_run_ends_with_the_weights_of_one_never_killed(
    project: Project, never_killed: Project, workers: int, moment: str
) -> None:
    arguments = [*RESUMED, f"trainer.num_workers={workers}"]
    process = project.start(sys.executable, "-m", "pipeline.train", *arguments)
    project.wait_for(moment, process)
    kill_group(process)
    said = project.python("pipeline.train", *arguments)
    assert "epoch 1/4" not in said, "it started anew"

    assert_same_weights(only_run(never_killed.root), only_run(project.root))
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
    assert said.rstrip().splitlines()[-1].startswith("error: training diverged: the loss is ")
    assert "lower optimizer.lr" in said

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


def test_dvc_stages_depend_on_the_code_that_the_fingerprint_covers() -> None:
    import yaml

    stages = yaml.safe_load(Path(__file__).parents[2].joinpath("dvc.yaml").read_text())["stages"]
    trained, searched = (
        {dep for dep in stages[stage]["do"]["deps"] if dep.startswith("pipeline/")}
        for stage in ("train", "search")
    )
    assert trained == {f"pipeline/{path.name}" for path in CODE}
    assert searched > trained


def test_history_and_metrics_agree(here: Path) -> None:
    config = compose([*TINY, "trainer.max_epochs=3", "trainer.keep=last"])
    folder = train(config, RunRequest("hydra", "x", waits=False), root=here)
    metrics = json.loads((folder.path / "metrics.json").read_text())
    assert metrics["epoch"] == 2
    assert metrics["score"] == metrics["val/accuracy"] == folder.history()[-1]["val/accuracy"]
