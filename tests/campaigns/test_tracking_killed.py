"""A process that dies before any of its writes to MLflow or to run.json: the same command ends as if it had not.

`CAMPAIGN_EVERY` leaves writes out: 5 tries every fifth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.declaration.composition import compose
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.sweeps.ledger import Ledger
from pipeline.training.run import RunRequest, train
from pipeline.trials.declared import load_search
from pipeline.trials.runner import run_search
from tests.doors.project import ROOT, TINY
from tests.tidy import assert_tidy, rows

WRITES: dict[type, tuple[str, ...]] = {
    MlflowClient: (
        *(
            "create_run",
            "update_run",
            "set_terminated",
            "log_batch",
            "log_text",
            "log_artifact",
            "log_artifacts",
        ),
        *(
            "log_inputs",
            "log_outputs",
            "set_tag",
            "delete_tag",
            "log_model_artifacts",
            "finalize_logged_model",
        ),
    ),
    RunFolder: ("update", "write_history"),
    Ledger: ("update", "keep"),
}
EPOCHS = 2
EVERY = int(os.environ.get("CAMPAIGN_EVERY", "1"))


class Killed(BaseException):
    """The process has died; nothing that it does afterwards counts."""


@contextmanager
def killed_before(number: int | None) -> Iterator[list[str]]:
    """Let the process die before one of its writes; yield the names of those that it began."""
    begun: list[str] = []

    def mortal(name: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            begun.append(name)
            if number is not None and len(begun) > number:
                raise Killed
            return write(*arguments, **options)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for kind, names in WRITES.items():
            for name in names:
                patch.setattr(kind, name, mortal(name, getattr(kind, name)))
        yield begun


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with prepared data and a database."""
    root = tmp_path_factory.mktemp("project")
    (root / "data").symlink_to(ROOT / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield root


def train_once(root: Path, seed: int, *overrides: str) -> None:
    declaration = compose([*TINY, f"trainer.max_epochs={EPOCHS}", f"seed={seed}", *overrides])
    train(declaration, RunRequest("hydra", "a run", waits=False), RunContext(root))


def search_once(root: Path, seed: int) -> None:
    overrides = [
        *TINY,
        "trainer.max_epochs=1",
        "search=coarse",
        "search.trials=2",
        f"search.name=s{seed}",
        f"seed={seed}",
    ]
    run_search(load_search(overrides, root=root), root=root, entry_point="sweep")


def logged(root: Path, seed: int) -> set[tuple[str, str, int]]:
    """Return each metric and step of the runs with a seed, with the names of their runs, the parent's too."""
    query = (
        "SELECT name, key, step FROM metrics JOIN runs USING (run_uuid) WHERE run_uuid IN "
        f"(SELECT run_uuid FROM params WHERE key = 'seed' AND value = '{seed}') "
        f"OR name = 'search digits_lenet5-s{seed}'"
    )
    return set(rows(root, query))


def runs_with(root: Path, seed: int) -> list[str]:
    found = rows(
        root, f"SELECT status FROM runs JOIN params USING (run_uuid) WHERE key = 'seed' AND value = '{seed}'"
    )
    return [status for (status,) in found]


COMMANDS: dict[str, tuple[Callable[[Path, int], None], int]] = {  # what is run, and how many runs it makes
    "training": (train_once, 1),
    "training with its model": (lambda root, seed: train_once(root, seed, "tracking.log_model=true"), 1),
    "search": (search_once, 3),  # two trials, and the declared values
}


def check_all(root: Path, command: str, moments: Callable[[int], range], *, first: int) -> None:
    """Kill a command before some of its writes, repeat it, and compare with one that was never killed.

    Args:
        moments: which writes of how many.
        first: a seed that no other check uses; each moment takes the next one.
    """
    run, num_runs = COMMANDS[command]
    with killed_before(None) as writes:
        run(root, first)
    wanted = {(key, step) for _, key, step in logged(root, first)}
    assert ("train/loss", 0) in wanted
    assert ("final/score", 0) in wanted
    for place, number in enumerate(moments(len(writes)), start=first + 1):
        with killed_before(number), pytest.raises(Killed):
            run(root, place)
        run(root, place)
        moment = f"{command} killed before write {number} of {len(writes)}: {writes[number]}"
        assert {(key, step) for _, key, step in logged(root, place)} == wanted, moment
        assert runs_with(root, place) == ["FINISHED"] * num_runs, moment
        assert_tidy(root)


@pytest.mark.slow
def test_training_that_dies_before_some_of_its_writes_is_logged_once(root: Path) -> None:
    check_all(root, "training", lambda count: range(1, count, count // 3), first=10_000)


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*")  # by MLflow, of a model
@pytest.mark.parametrize("command", COMMANDS)
def test_command_that_dies_before_any_of_its_writes_is_logged_once(command: str, root: Path) -> None:
    first = 1000 * (1 + list(COMMANDS).index(command))
    check_all(root, command, lambda count: range(0, count, EVERY), first=first)
