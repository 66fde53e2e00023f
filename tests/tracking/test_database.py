"""The database: made whole or not at all, never made again over runs, and found wherever the project lies."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from pipeline.tracking import database as making
from pipeline.tracking.database import make_if_needed
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store
from pipeline.tracking.uri import database_of, sqlite_uri, tracking_uri
from tests.refusals import refused


@pytest.fixture(scope="session")
def empty(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete database in which nothing was logged."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    make_if_needed(path)
    return path


@pytest.fixture
def quick(empty: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Make the tables by copying them, which takes seconds less; the list has a path for each time."""
    made = []

    def copy(engine: Engine) -> None:
        made.append(Path(str(engine.url.database)))
        shutil.copy(empty, made[-1])

    monkeypatch.setattr(utils, "_initialize_tables", copy)
    return made


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def run_sql(database: Path, *statements: str) -> None:
    engine = create_engine(sqlite_uri(database))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def leave_first_tables(database: Path) -> None:
    engine = create_engine(sqlite_uri(database))
    Base.metadata.create_all(engine)
    engine.dispose()


def leave_most_tables(database: Path, empty: Path) -> None:
    shutil.copy(empty, database)
    run_sql(database, "DROP TABLE logged_models", "UPDATE alembic_version SET version_num = '0584bdc529eb'")


def leave_without_workspaces(database: Path, empty: Path) -> None:
    shutil.copy(empty, database)
    run_sql(database, "DELETE FROM alembic_version", "DELETE FROM workspaces")


def age(database: Path) -> None:
    """Let a file be an hour old."""
    os.utime(database, (database.stat().st_atime - 3600, database.stat().st_mtime - 3600))


LEFT: dict[str, Callable[[Path, Path], None]] = {
    "nothing": lambda _, __: None,
    "an empty file": lambda path, _: path.touch(),
    "the first tables": lambda path, _: leave_first_tables(path),
    "most tables": leave_most_tables,
    "all tables": leave_without_workspaces,
}


@pytest.mark.parametrize("left", LEFT)
def test_unfinished_database_is_made_again(left: str, empty: Path, quick: list[Path], tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    LEFT[left](database, empty)
    if database.exists():
        age(database)
    make_if_needed(database)
    assert tables(database) == tables(empty)
    assert len(quick) == 1
    make_if_needed(database)
    assert len(quick) == 1, "a complete database was made again"
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("left", ["the first tables", "most tables"])
def test_database_with_a_run_is_never_made_again(
    left: str, empty: Path, quick: list[Path], tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    LEFT[left](database, empty)
    run_sql(database, "INSERT INTO experiments (experiment_id, name) VALUES (7, 'mine')")
    age(database)
    before = database.read_bytes()
    problem = "has the tables of another version of MLflow, or an upgrade of it was interrupted"
    hint = f"copy the file, then type: mlflow db upgrade 'sqlite:///{database}'; or install that version"
    with refused(str(database), hint=hint, text=f"{database}: {problem}; {hint}"):
        make_if_needed(database)
    with refused(str(database)):
        Store(tmp_path, "digits")
    assert database.read_bytes() == before
    assert quick == []


def test_upgrade_that_the_message_names_works(empty: Path, tmp_path: Path) -> None:
    database = tmp_path / "50% ?" / "mlflow.db"
    database.parent.mkdir()
    leave_first_tables(database)
    run_sql(database, "INSERT INTO experiments (experiment_id, name) VALUES (7, 'mine')")
    with refused(str(database), hint=f"'{sqlite_uri(database)}'"):
        make_if_needed(database)
    utils._upgrade_db(create_engine(sqlite_uri(database)))  # as `mlflow db upgrade` does
    make_if_needed(database)
    assert tables(database) == tables(empty)


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), OperationalError("", {}, OSError("disk full"))])
def test_making_that_is_interrupted_leaves_nothing(
    reason: BaseException, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(engine: Engine) -> None:
        Base.metadata.create_all(engine)
        raise reason

    monkeypatch.setattr(utils, "_initialize_tables", fail)
    database = tmp_path / "mlflow.db"
    if isinstance(reason, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            make_if_needed(database)
    else:
        with refused(str(database), hint="make room on the disk") as caught:
            make_if_needed(database)
        assert "cannot be made ((builtins.OSError) disk full" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_processes_are_removed_and_not_applied(quick: list[Path], tmp_path: Path) -> None:
    for name in (".mlflow.db.123", ".mlflow.db.123-journal", "mlflow.db-journal", "mlflow.db-wal"):
        (tmp_path / name).write_bytes(b"left over")
    make_if_needed(tmp_path / "mlflow.db")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_database_that_another_program_is_making_is_waited_for(
    empty: Path, quick: list[Path], tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    leave_first_tables(database)
    other = threading.Timer(0.5, lambda: shutil.copy(empty, database))
    other.start()
    make_if_needed(database)
    other.join()
    assert quick == []


def test_database_that_another_program_made_meanwhile_is_kept(
    empty: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    made = []

    def make(engine: Engine) -> None:
        made.append(engine)
        shutil.copy(empty, str(engine.url.database))
        shutil.copy(empty, database)
        made.append(database.stat().st_ino)

    monkeypatch.setattr(utils, "_initialize_tables", make)
    make_if_needed(database)
    assert database.stat().st_ino == made[1]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_clock_that_was_set_back_does_not_matter(
    quick: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(making, "QUIET", 0.3)
    database = tmp_path / "mlflow.db"
    leave_first_tables(database)
    os.utime(database, (2**32, 2**32))  # in 2106
    make_if_needed(database)
    assert len(quick) == 1


NAMES = [
    "plain",
    "with space",
    "ü 한국",
    "a?b=c",
    "100%",
    "a%20b",
    "a#b",
    "a@b:c",
    "a+b",
    "a'b",
    "[a]",
    "a;b&c",
]


@pytest.mark.parametrize("name", NAMES)
def test_everything_lies_in_the_project_whatever_its_name(
    name: str, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / name
    root.mkdir()
    shutil.copy(empty, root / "mlflow.db")
    monkeypatch.chdir(root)
    assert database_of(tracking_uri(root)) == root / "mlflow.db"
    store = Store(root, "digits 50%?")
    run = TrackedRun.start(store, name="a", parent=None, tags={})
    run.log_text("hello", "notes/hello.txt")
    run.log_history([{"epoch": 0.0, "train/loss": 1.0}])
    run.end("FINISHED")
    [written] = (root / "mlartifacts").rglob("hello.txt")
    assert written.is_relative_to(root / "mlartifacts" / "digits 50%?" / run.run_id)
    read = Path(store.client.download_artifacts(run.run_id, "notes/hello.txt"))
    assert read.read_text(encoding="utf-8") == "hello"
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        assert connection.execute("SELECT key, value FROM metrics").fetchall() == [("train/loss", 1.0)]
    assert [path.name for path in tmp_path.iterdir()] == [name], "something lies beside the project"


@pytest.mark.slow
def test_database_is_made_in_a_project_whatever_its_name(tmp_path: Path) -> None:
    root = tmp_path / "a?b%20c#d ü"
    root.mkdir()
    store = Store(root, "digits")
    assert store.client.get_experiment_by_name("digits") is not None
    assert [path.name for path in tmp_path.iterdir()] == [root.name]
    assert sorted(path.name for path in root.iterdir()) == ["mlflow.db", "mlflow.db.lock"]
