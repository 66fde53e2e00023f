"""A project that is moved or copied: its artifacts are found, and written, where it is now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow.entities import LoggedModelStatus

from pipeline.tracking.registry import register_model
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store

NAME = "grey ü%"  # what URIs quote


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a project with a run that has an artifact and a registered model, and the id of the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = tmp_path_factory.mktemp("before") / "my project"
        root.mkdir()
        store = Store(root, NAME)
        run = TrackedRun.start(store, name="a", parent=None, tags={})
        run.log_text("old", "note.txt")
        model = store.client.create_logged_model(store.experiment_id, name="m", source_run_id=run.run_id)
        store.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        register_model(store, run.run_id, name="digits", alias="champion", fingerprint="0")
        run.end("FINISHED")
    return root, run.run_id


@pytest.fixture
def copied(made: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    shutil.copytree(made[0], tmp_path / "new place")
    return tmp_path / "new place", made[1]


def test_artifacts_of_a_copy_are_in_the_copy(copied: tuple[Path, str], made: tuple[Path, str]) -> None:
    root, run_id = copied
    before = sorted(made[0].rglob("*"))
    store = Store(root, NAME)
    note = next((root / "mlartifacts").rglob("note.txt"))
    note.write_text("of the copy")
    assert Path(store.client.download_artifacts(run_id, "note.txt")).read_text() == "of the copy"
    fresh = TrackedRun.start(store, name="b", parent=None, tags={})
    fresh.log_text("new", "more.txt")
    fresh.end("FINISHED")
    assert list((root / "mlartifacts").rglob("more.txt"))
    version = store.client.get_model_version_by_alias("digits", "champion")
    (model,) = store.client.search_logged_models([store.experiment_id])
    for place in (version.source, model.artifact_location, store.client.get_run(run_id).info.artifact_uri):
        assert place.startswith((root / "mlartifacts").as_uri())
    assert sorted(made[0].rglob("*")) == before, "the original is left alone"


def test_artifacts_that_were_not_copied_are_still_found(copied: tuple[Path, str]) -> None:
    root, run_id = copied
    shutil.rmtree(root / "mlartifacts")
    store = Store(root, NAME)
    assert Path(store.client.download_artifacts(run_id, "note.txt")).read_text() == "old"
    fresh = TrackedRun.start(store, name="b", parent=None, tags={})
    fresh.log_text("new", "more.txt")
    fresh.end("FINISHED")
    assert list((root / "mlartifacts").rglob("more.txt"))


def test_database_of_another_project_and_places_of_others_are_left_alone(
    copied: tuple[Path, str], made: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, run_id = copied
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    place = Store(other, NAME).client.get_run(run_id).info.artifact_uri
    assert place.startswith((made[0] / "mlartifacts").as_uri())
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    bucket = Store(root, NAME).client.create_experiment(
        "bucket", artifact_location="s3://bucket/mlartifacts/x"
    )
    kept = Store(root, NAME).client.get_experiment(bucket)
    assert kept.artifact_location == "s3://bucket/mlartifacts/x"
