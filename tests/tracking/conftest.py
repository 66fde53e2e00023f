"""One store for all tests of the room: making the tables of a new database takes seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store


@pytest.fixture(autouse=True)
def _no_outer_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder with an opened store; its name has what URIs dislike."""
    root = tmp_path_factory.mktemp("my project ü")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Store(root, "first")
    return root


@pytest.fixture
def store(root: Path, request: pytest.FixtureRequest) -> Store:
    """A store whose experiment belongs to the test alone."""
    return Store(root, request.node.name)


@pytest.fixture
def tracked(store: Store) -> Iterator[TrackedRun]:
    """A run, closed after the test."""
    run = TrackedRun.start(store, name="a run", parent=None, tags={"colour": "blue"})
    yield run
    run.end("FINISHED")
