"""The sqlite database of MLflow: where it lies, and how it is made, so that a crash never leaves half of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from glob import escape
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.store.db import utils
from sqlalchemy.exc import DatabaseError

from pipeline.errors import ConfigError, first_line
from pipeline.files import replacing
from pipeline.tracking.uri import connect, sqlite_uri

UTILS: Any = utils  # has no types
QUIET = 5.0  # seconds after which a half-made database that does not change is taken as abandoned
SIDE_FILES = ("-journal", "-wal", "-shm")  # files that sqlite keeps beside a database while it is written to
SEEDED = {"alembic_version", "workspaces"}  # tables in which MLflow itself writes rows when it makes them
DEFAULT_EXPERIMENT = 0  # likewise


def make_if_needed(database: Path) -> None:
    """Make the tables if there is no database, or an unfinished one without content; the caller must hold its lock.

    The database is made in a draft that replaces it in one step. One that another program makes at the same time, such
    as `mlflow ui`, is waited for.

    Raises:
        ConfigError: the database has content, and the tables of another version of MLflow; or it cannot be written.
        sqlite3.DatabaseError: the file is not a database.
    """
    while not _is_complete(database):
        if _has_content(database):
            raise ConfigError(
                str(database),
                "has the tables of another version of MLflow, or an upgrade of it was interrupted",
                hint=f"copy the file, then type: mlflow db upgrade '{sqlite_uri(database)}'; or install that version",
            )
        seen = _state_once_quiet(database)
        if _is_complete(database):
            return
        with suppress(_MadeByAnother):
            _make(database, seen)


class _MadeByAnother(Exception):
    """Another program has begun to make the same database."""


def _make(database: Path, seen: tuple[int, ...] | None) -> None:
    """Make the database.

    Args:
        seen: its state before, to recognise that another program has begun to make it.
    """
    for left in database.parent.glob(f".{escape(database.name)}.*"):  # drafts of killed processes
        left.unlink(missing_ok=True)
    with _explained(database), replacing(database) as draft:
        engine = UTILS.create_sqlalchemy_engine(sqlite_uri(draft))
        try:
            # Private, as MLflow's public way opens a store that stays open; a test notices if it moves.
            UTILS._initialize_tables(engine)
        finally:
            engine.dispose()
        if _state(database) != seen:
            raise _MadeByAnother
        for suffix in SIDE_FILES:  # sqlite would apply an abandoned journal to the new database
            database.with_name(database.name + suffix).unlink(missing_ok=True)


@contextmanager
def _explained(database: Path) -> Iterator[None]:
    try:
        yield
    except (MlflowException, DatabaseError, OSError) as reason:
        raise ConfigError(
            str(database),
            f"the MLflow database cannot be made ({first_line(reason)})",
            hint="make room on the disk, or the folder writable; then type the same command again",
        ) from None


def _is_complete(database: Path) -> bool:
    if not database.exists():
        return False
    with closing(connect(database)) as connection:
        if "alembic_version" not in _tables(connection):
            return False
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return found == [(_newest_revision(),)]


@cache
def _newest_revision() -> str:
    revision: str = UTILS._get_latest_schema_revision()  # private, as is all that MLflow has on its schema
    return revision


def _has_content(database: Path) -> bool:
    """Return whether there is a row in any table, except those that MLflow writes when it makes the tables."""
    if not database.exists():
        return False
    with closing(connect(database)) as connection:
        for table in _tables(connection) - SEEDED:
            condition = f"WHERE experiment_id != {DEFAULT_EXPERIMENT}" if table == "experiments" else ""
            if connection.execute(f'SELECT 1 FROM "{table}" {condition} LIMIT 1').fetchone():
                return True
    return False


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return {name for (name,) in found}


def _state_once_quiet(database: Path) -> tuple[int, ...] | None:
    """Return the state of a database as soon as it is complete, or has not changed for a while."""
    state, since = _state(database), time.monotonic()
    while state is not None and _is_fresh(state) and time.monotonic() - since < QUIET:
        time.sleep(0.1)
        if _is_complete(database):
            break
        if _state(database) != state:
            state, since = _state(database), time.monotonic()
    return state


def _is_fresh(state: tuple[int, ...]) -> bool:
    return time.time() - state[-1] / 1e9 < QUIET


def _state(database: Path) -> tuple[int, ...] | None:
    try:
        stat = database.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
