"""Kills at every file event of a run, a stage and a search: the same command ends as if there had been none."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.doors.project import ROOT, TINY

COMMON = [*TINY, "trainer.progress=false", "trainer.accelerator=cpu"]
SEARCH = [*(each for each in COMMON if "batch_size" not in each), "search=coarse", "search.trials=2"]


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Args:
        module: `pipeline.<command>`.
        arguments: its command line.
        kills: number of kills in the campaign, spread over the command's events.
    """

    module: str
    arguments: tuple[str, ...]
    kills: int


COMMANDS = {
    "run": Command("pipeline.train", (*COMMON, "trainer.max_epochs=2"), 110),
    "stage": Command("pipeline.train", ("declaration.yaml", "out"), 60),
    "prepare": Command("pipeline.prepare", ("declaration.yaml", "prepared"), 30),
    "search": Command("pipeline.train", ("-m", *SEARCH, "trainer.max_epochs=1"), 100),
}


class Server:
    """Runs commands in forks of one process that has imported the heavy libraries."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment["GIT_CONFIG_GLOBAL"] = os.devnull
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaigns.kills"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, root: Path, command: Command, *, at: int = 0) -> int:
        """Run a command in a project, killed at an event unless that is 0; return its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        case = {"root": str(root), "module": command.module, "arguments": command.arguments, "at": at}
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        code: int = json.loads(self._process.stdout.readline())["code"]
        return code

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def template(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a database, prepared data and the declaration of a stage, and no run."""
    root = tmp_path_factory.mktemp("template") / "project"
    root.mkdir()
    (root / "data").symlink_to(ROOT / "data")
    overrides = (*COMMON, "trainer.max_epochs=2")
    assert server.run(root, Command("pipeline.compose", ("declaration.yaml", *overrides), 0)) == 0
    assert server.run(root, Command("pipeline.train", (*COMMON, "trainer.max_epochs=1", "seed=9"), 0)) == 0
    shutil.rmtree(root / "runs")
    return root


@pytest.fixture(scope="module")
def wholes(server: Server, template: Path) -> dict[str, tuple[dict[str, Any], int]]:
    """Return what each command leaves that is not killed, and the number of its events."""
    found = {}
    for name, command in COMMANDS.items():
        root = copy_of(template, template.parent / name)
        if name == "prepare":
            shutil.rmtree(root / "cache" / "prepare")
        assert server.run(root, command) == 0, root.with_suffix(".txt").read_text()
        events = json.loads(root.with_suffix(".json").read_text())
        found[name] = (outcome(root), len(events))
    return found


def copy_of(template: Path, root: Path) -> Path:
    shutil.copytree(template, root, symlinks=True)
    with sqlite3.connect(root / "mlflow.db") as database:  # where artifacts go
        database.execute(
            "UPDATE experiments SET artifact_location = ?", (f"file://{root}/mlartifacts/digits",)
        )
    database.close()
    return root


def outcome(root: Path) -> dict[str, Any]:
    """Return what a command has left in a project: results, rows in MLflow, and the names of all files."""
    results = {
        str(path.relative_to(root)): path.read_bytes()
        for pattern in ("runs/**/weights.pt", "runs/**/history.csv", "runs/**/metrics.json", "out/**/*.*")
        for path in root.glob(pattern)
        if path.is_file()
    }
    results |= {
        str(path.relative_to(root)): path.read_bytes()
        for pattern in ("prepared/*", "runs/searches/*/results/trials.csv")
        for path in root.glob(pattern)
    }
    database = sqlite3.connect(root / "mlflow.db")
    statuses = Counter(status for (status,) in database.execute("SELECT status FROM runs"))
    rows = Counter(
        (key, step, value)
        for key, step, value in database.execute(
            "SELECT key, step, value FROM metrics JOIN runs USING (run_uuid) WHERE status = 'FINISHED'"
        )
        if key != "seconds"
    )
    database.close()
    left = sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.name.endswith((".unfinished", ".damaged"))
        or (path.name.startswith(".") and path.suffix[1:].isdigit())
    )
    states = {
        path.parent.name: json.loads(path.read_text())["state"] for path in root.glob("runs/*/run.json")
    }
    return {"results": results, "statuses": statuses, "rows": rows, "left": left, "states": states}


def cases(share: float) -> list[tuple[str, float]]:
    """Return (command, place of the kill between its first event and its last) for a share of the kills."""
    return [
        (name, (number + 0.5) / max(1, round(share * command.kills)))
        for name, command in COMMANDS.items()
        for number in range(max(1, round(share * command.kills)))
    ]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        *(pytest.param(*each, marks=pytest.mark.slow) for each in cases(0.01)),
        *(pytest.param(*each, marks=pytest.mark.campaign) for each in cases(1.0)),
    ],
)
def test_command_killed_at_any_event_ends_as_one_never_killed(
    server: Server,
    template: Path,
    wholes: dict[str, tuple[dict[str, Any], int]],
    tmp_path: Path,
    name: str,
    place: float,
) -> None:
    wanted, num_events = wholes[name]
    at = 1 + int(place * num_events)
    root = copy_of(template, tmp_path / "project")
    if name == "prepare":
        shutil.rmtree(root / "cache" / "prepare")
    killed = server.run(root, COMMANDS[name], at=at)
    assert killed == -9, f"event {at} of {num_events} was not reached"
    code = server.run(root, COMMANDS[name])
    said = root.with_suffix(".txt").read_text()
    assert code == 0, said
    found = outcome(root)
    about = f"killed at event {at} of {num_events}"
    assert sorted(found["results"]) == sorted(wanted["results"]), about
    assert [each for each in wanted["results"] if found["results"][each] != wanted["results"][each]] == [], (
        about
    )
    assert found["rows"] - wanted["rows"] == Counter(), f"{about}: rows twice"
    assert wanted["rows"] - found["rows"] == Counter(), f"{about}: rows are missing"
    assert set(found["statuses"]) <= {"FINISHED", "KILLED"}, about
    assert found["statuses"]["FINISHED"] == wanted["statuses"]["FINISHED"], about
    assert found["states"] == wanted["states"], about
    assert found["left"] == wanted["left"] == [], about
    assert "Traceback" not in said, about
    shutil.rmtree(root)
