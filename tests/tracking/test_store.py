"""The store: opened by any number of processes at once, and plain about what it cannot open."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import ViewType

from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import SAME_TAG, Store
from pipeline.tracking.uri import FOLDER_TAG, tracking_uri
from tests.refusals import refused

NUM_PROCESSES = 16
NUM_EPOCHS = 5

# Forked from one process, since to import mlflow sixteen times takes a minute; all open the store at once.
CROWD = """
import os, sys
from multiprocessing import get_context
from pathlib import Path
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store

def write(number, num_epochs, everyone):
    everyone.wait()
    store = Store(Path(sys.argv[1]), "crowd")
    run = TrackedRun.start(store, name=str(number), parent=None, tags={})
    for data in range(5):
        everyone.wait(60)
        run.log_data("digits", digest=f"sha256:{str(data) * 64}", root="digits.zip", counts={"train": 1})
    history = [{"epoch": float(e), "train/loss": 10.0 * number + e} for e in range(num_epochs)]
    for length in range(len(history)):
        run.log_history(history[: length + 1])
    run.end("FINISHED")

num_processes, num_epochs = map(int, sys.argv[2:])
context = get_context("fork")
everyone = context.Barrier(num_processes)
crowd = [context.Process(target=write, args=(i, num_epochs, everyone)) for i in range(num_processes)]
for each in crowd:
    each.start()
for each in crowd:
    each.join()
print([each.exitcode for each in crowd])
"""


@pytest.mark.slow
def test_sixteen_processes_that_start_at_once_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CROWD, str(tmp_path), str(NUM_PROCESSES), str(NUM_EPOCHS)]
    crowd = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(crowd.stdout) == [0] * NUM_PROCESSES, crowd.stderr
    store = Store(tmp_path, "crowd")
    runs = store.client.search_runs([store.experiment_id])
    assert {run.info.run_name for run in runs} == {str(number) for number in range(NUM_PROCESSES)}
    assert [run.info.status for run in runs] == ["FINISHED"] * NUM_PROCESSES
    for run in runs:
        kept = store.client.get_metric_history(run.info.run_id, "train/loss")
        wanted = [(epoch, 10 * int(run.info.run_name) + epoch) for epoch in range(NUM_EPOCHS)]
        assert sorted((metric.step, metric.value) for metric in kept) == wanted
    experiments = store.client.search_experiments()
    assert [each.name for each in experiments].count("crowd") == 1


def test_database_lies_in_the_project_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(Path("project")) == f"sqlite:///{tmp_path}/project/mlflow.db"


def test_tracking_uri_of_the_environment_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "new folder" / "elsewhere.db"
    elsewhere.parent.mkdir()
    elsewhere.touch()  # as a process leaves it that died while it made the tables
    os.utime(elsewhere, (0, 0))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}")
    store = Store(tmp_path / "project", "digits")
    assert store.client.get_experiment_by_name("digits") is not None
    assert elsewhere.stat().st_size > 0
    assert not (tmp_path / "project" / "mlflow.db").exists()


def test_experiment_is_made_once_and_its_files_lie_in_the_project(root: Path) -> None:
    first, second = Store(root, "same name"), Store(root, "same name")
    assert first.experiment_id == second.experiment_id
    run = TrackedRun.start(first, name="a", parent=None, tags={})
    run.log_text("hello", "notes/hello.txt")
    [written] = (root / "mlartifacts").rglob(f"*{run.run_id}/**/hello.txt")
    assert written.read_text() == "hello"
    loaded = first.client.download_artifacts(run.run_id, "notes/hello.txt")
    assert Path(loaded).read_text() == "hello"
    run.end("FINISHED")


def test_read_only_database_is_refused_with_the_way_out(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.touch()
    database.chmod(stat.S_IRUSR)
    text = f"{database}: the MLflow database is read-only; chmod u+w {database}, or set MLFLOW_TRACKING_URI"
    with refused(str(database), hint="chmod u+w", text=text):
        Store(tmp_path, "digits")


def test_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"not a database, but somebody's notes" * 100)
    before = database.read_bytes()
    hint = "repair it or move it away (a new one is created), or set MLFLOW_TRACKING_URI"
    with refused(str(database), hint=hint) as caught:
        Store(tmp_path, "digits")
    opened = rf"{re.escape(str(database))}: the MLflow database cannot be opened \(.+\); {re.escape(hint)}"
    assert re.fullmatch(opened, str(caught.value))
    assert database.read_bytes() == before


def test_server_that_does_not_answer_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "http://127.0.0.1:1"  # where nothing listens
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    hint = "correct it, or unset it to track in the project's folder"
    with refused("MLFLOW_TRACKING_URI", got=uri, hint=hint) as caught:
        Store(tmp_path, "digits")
    said = rf"MLFLOW_TRACKING_URI: the server does not answer \(.+\), got '{uri}'; {re.escape(hint)}"
    assert re.fullmatch(said, str(caught.value))


def test_deleted_experiment_is_refused_with_the_way_out(root: Path) -> None:
    store = Store(root, "thrown away")
    store.client.delete_experiment(store.experiment_id)
    text = (
        "tracking.experiment: the experiment was deleted, got 'thrown away'; choose another name, or restore it with "
        f"`mlflow experiments restore --experiment-id {store.experiment_id}`"
    )
    with refused("tracking.experiment", got="thrown away", hint="choose another name", text=text):
        Store(root, "thrown away")


def test_run_is_there_until_it_is_deleted(store: Store) -> None:
    run = TrackedRun.start(store, name="a", parent=None, tags={})
    run.end("FINISHED")
    assert store.has_run(run.run_id)
    assert not store.has_run("0" * 32)
    store.client.delete_run(run.run_id)
    assert not store.has_run(run.run_id)


def test_children_know_their_parent(store: Store) -> None:
    parent = TrackedRun.start(store, name="parent", parent=None, tags={})
    child = TrackedRun.start(store, name="child", parent=parent.run_id, tags={"colour": "red"})
    assert store.parent_of(child.run_id) == parent.run_id
    assert store.parent_of(parent.run_id) is None
    assert store.parent_of("0" * 32) is None
    found = store.client.search_runs(
        [store.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.run_id}'", ViewType.ACTIVE_ONLY
    )
    assert [(run.info.run_name, run.data.tags["colour"]) for run in found] == [("child", "red")]
    for run in (child, parent):
        run.end("FINISHED")


IMPORTED = """
import json, sys
import pipeline.runs.context, pipeline.declaration.settings, pipeline.tracking.provenance
print(json.dumps([name for name in ("mlflow", "torch") if name in sys.modules]))
"""


def test_light_parts_of_the_room_import_nothing_heavy() -> None:
    said = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == []


def test_run_of_a_training_is_found_by_its_folder_and_a_link_is_not(store: Store) -> None:
    first = TrackedRun.start(store, name="a", parent=None, tags={FOLDER_TAG: "runs/abc"})
    first.end("FINISHED")
    link = {FOLDER_TAG: "runs/abc", SAME_TAG: first.run_id}
    TrackedRun.start(store, name="a link", parent=None, tags=link).end("FINISHED")
    assert store.trained_run("runs/abc") == first.run_id
    assert store.trained_run("runs/other") is None


def test_run_that_was_started_by_a_killed_process_is_continued(store: Store) -> None:
    tags = {FOLDER_TAG: "runs/abc"}
    killed = TrackedRun.start(store, name="a", parent=None, tags=tags)
    link = TrackedRun.start(store, name="a link", parent=None, tags={**tags, SAME_TAG: killed.run_id})
    other = TrackedRun.start(store, name="b", parent=None, tags={FOLDER_TAG: "runs/b'c"})
    again = TrackedRun.start_or_adopt(store, name="a", parent=None, tags=tags)
    assert again.run_id == killed.run_id
    assert store.started_run("runs/b'c") == other.run_id
    again.end("FINISHED")
    fresh = TrackedRun.start_or_adopt(store, name="a", parent=None, tags=tags)
    assert fresh.run_id not in (killed.run_id, link.run_id, other.run_id)
    for run in (fresh, link, other):
        run.end("FINISHED")
