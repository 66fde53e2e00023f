"""Where a run belongs: the project's folder, and the sweep or search that asks for it.

The context is passed on as it is. Only where another process takes over, such as a job of a Hydra launcher, does it
travel in environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PARENT = "CONVOY_PARENT_RUN_ID"  # MLFLOW_RUN_ID would be resumed by every child
SEARCH = "CONVOY_SEARCH"
SWEPT = "CONVOY_SWEPT_KEYS"  # comma-separated
RUN = "CONVOY_RUN"  # folder of the run that processes beside the leading one train too


@dataclass(frozen=True)
class RunContext:
    """Where a run belongs.

    Args:
        root: the project's folder; data, runs and mlflow.db are found from it.
        parent: MLflow id of the run of a sweep or search that this run is a child of.
        search: folder of the search that this run is a trial of, relative to `root`.
        swept: keys of the overrides that set the children of a sweep apart.
    """

    root: Path
    parent: str | None = None
    search: str | None = None
    swept: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, root: Path) -> RunContext:
        """Return the context that the process was started in."""
        keys = os.environ.get(SWEPT, "")
        return cls(root, os.environ.get(PARENT), os.environ.get(SEARCH), tuple(filter(None, keys.split(","))))

    def variables(self) -> dict[str, str]:
        """Return the environment variables from which another process makes the same context."""
        values = {PARENT: self.parent, SEARCH: self.search, SWEPT: ",".join(self.swept)}
        return {name: value for name, value in values.items() if value}

    @contextmanager
    def exported(self) -> Iterator[None]:
        """Hand the context to processes that start in the meantime, and nothing of the one before it."""
        with exported({PARENT: None, SEARCH: None, SWEPT: None, **self.variables()}):
            yield


@contextmanager
def exported(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables, or remove those that are None, for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
