"""Where MLflow keeps its runs: a server, or an sqlite database; importable without mlflow."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

URI_VARIABLE = "MLFLOW_TRACKING_URI"
SQLITE = "sqlite"
FOLDER_TAG = "convoy.run_folder"  # tag of a run: the folder whose lock is held while the run is alive
TIMEOUT = 20.0  # seconds to wait for other writers, as MLflow does


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or by default the sqlite database in the project's folder.

    User and password of a server are moved from the URI to the environment variables that MLflow has for them, so that
    none of its messages and files contain them.
    """
    uri = os.environ.get(URI_VARIABLE)
    if not uri:
        return sqlite_uri(root.resolve() / "mlflow.db")
    parts = urlsplit(uri) if uri.startswith(("http://", "https://")) else None
    if parts and parts.username and parts.password:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
        uri = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        os.environ[URI_VARIABLE] = uri
    return uri


def tracking_database(root: Path) -> Path | None:
    """Return the sqlite database that `tracking_uri` names; None if it names a server."""
    uri = os.environ.get(URI_VARIABLE)
    return database_of(uri) if uri else root.resolve() / "mlflow.db"


def sqlite_uri(database: Path) -> str:
    """Return the URI of an sqlite database.

    SQLAlchemy reads `?` as the start of options, and `%20` as a space, unless they are quoted. MLflow would create the
    folder of the quoted path beside the real one, which it does only if the URI begins with `sqlite:///`.
    """
    path = str(database)
    if not set("%?") & set(path):
        return f"{SQLITE}:///{path}"
    return f"{SQLITE}+pysqlite:///{path.replace('%', '%25').replace('?', '%3F')}"


def database_of(uri: str) -> Path | None:
    """Return the path of the sqlite database that a URI names; None if it names a server."""
    if not uri.startswith((f"{SQLITE}:", f"{SQLITE}+")):
        return None
    from sqlalchemy.engine import make_url

    path = make_url(uri).database
    return None if path in (None, "", ":memory:") else Path(path).absolute()


def connect(database: Path) -> sqlite3.Connection:
    """Open an existing sqlite database; after a crash, sqlite first undoes the transaction that was interrupted."""
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=TIMEOUT)
