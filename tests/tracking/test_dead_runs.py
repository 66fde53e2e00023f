"""Runs whose process died are closed by the next command, and those that are alive are left alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.runs.lock import locked
from pipeline.tracking import dead_runs
from pipeline.tracking.dead_runs import close_dead_runs
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store
from pipeline.tracking.uri import FOLDER_TAG


def started(store: Store, name: str, **tags: str) -> TrackedRun:
    return TrackedRun.start(store, name=name, parent=None, tags={FOLDER_TAG: f"runs/{name}", **tags})


def status(run: TrackedRun) -> str:
    return str(run.store.client.get_run(run.run_id).info.status)


def test_dead_runs_are_closed_and_living_ones_are_not(store: Store) -> None:
    runs = {name: started(store, name) for name in ("dead", "gone", "alive", "finished")}
    runs["elsewhere"] = TrackedRun.start(store, name="of another program", parent=None, tags={})
    runs["finished"].end("FINISHED")
    with locked(store.root / "runs/dead/lock", waits=False):
        pass
    with locked(store.root / "runs/alive/lock", waits=False):
        close_dead_runs(store.root, "digits")
    assert {name: status(run) for name, run in runs.items()} == {
        "dead": "KILLED",
        "gone": "KILLED",
        "alive": "RUNNING",
        "finished": "FINISHED",
        "elsewhere": "RUNNING",
    }
    assert not (store.root / "runs/gone").exists(), "a folder was made for a run that has none"
    runs["elsewhere"].end("FINISHED")
    close_dead_runs(store.root, "digits")
    assert status(runs["alive"]) == "KILLED"


def test_run_that_ends_while_it_is_looked_at_keeps_its_status(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(store, "just ended")
    (store.root / "runs/just ended").mkdir(parents=True)
    (store.root / "runs/just ended/lock").touch()
    found = dead_runs._of_database

    def ends(*arguments: Any) -> Any:
        dead = found(*arguments)
        run.end("FINISHED")
        return dead

    monkeypatch.setattr(dead_runs, "_of_database", ends)
    close_dead_runs(store.root, "digits")
    assert status(run) == "FINISHED"


def test_unfinished_model_of_a_dead_run_is_marked_as_failed(store: Store) -> None:
    run = started(store, "dead with a model")
    model = store.client.create_logged_model(store.experiment_id, "model", source_run_id=run.run_id)
    close_dead_runs(store.root, "digits")
    assert status(run) == "KILLED"
    assert str(store.client.get_logged_model(model.model_id).status) == "FAILED"


def test_run_on_a_server_may_be_alive_on_another_machine(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [started(store, name) for name in ("there", "here, but dead")]
    (store.root / "runs" / "here, but dead").mkdir(parents=True)
    monkeypatch.setattr(dead_runs, "tracking_database", lambda root: None)
    close_dead_runs(store.root, store.client.get_experiment(store.experiment_id).name)
    assert [status(run) for run in runs] == ["RUNNING", "KILLED"]
    runs[0].end("FINISHED")


LIGHT = """
import sys
from pathlib import Path
from pipeline.tracking.dead_runs import close_dead_runs
close_dead_runs(Path(sys.argv[1]), "digits")
print([name for name in ("mlflow", "sqlalchemy", "torch") if name in sys.modules])
"""


@pytest.mark.parametrize("content", [None, b"", b"not a database" * 99])
def test_command_with_nothing_to_close_imports_nothing_heavy(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "mlflow.db").write_bytes(content)
    said = subprocess.run(
        [sys.executable, "-c", LIGHT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"
    assert len(list(tmp_path.iterdir())) == (content is not None)
