"""The context of a run: the project's folder, and the sweep or search that the run is part of.

Within a process the context is passed as an object. It is serialized to environment variables only for other
processes, such as the jobs of a Hydra launcher.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PARENT = "CONVOY_PARENT_RUN_ID"  # not MLFLOW_RUN_ID, which every child would resume
SEARCH = "CONVOY_SEARCH"
SWEPT = "CONVOY_SWEPT_KEYS"  # comma-separated
RUN = "CONVOY_RUN"  # folder of the run, for the non-leading processes of distributed training


@dataclass(frozen=True)
class RunContext:
    """The context of a run.

    Args:
        root: the project's folder, which contains data, runs and mlflow.db.
        parent: MLflow id of the parent run of the sweep or search, if any.
        search: folder of the search, relative to `root`, if this run is a trial.
        swept: override keys that vary between the children of the sweep.
    """

    root: Path
    parent: str | None = None
    search: str | None = None
    swept: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, root: Path) -> RunContext:
        """Return the context from the environment variables of this process."""
        keys = os.environ.get(SWEPT, "")
        return cls(root, os.environ.get(PARENT), os.environ.get(SEARCH), tuple(filter(None, keys.split(","))))

    def variables(self) -> dict[str, str]:
        """Return the environment variables from which another process restores this context."""
        values = {PARENT: self.parent, SEARCH: self.search, SWEPT: ",".join(self.swept)}
        return {name: value for name, value in values.items() if value}

    @contextmanager
    def exported(self) -> Iterator[None]:
        """Export this context, and nothing else, to processes that are started inside the `with` block."""
        with exported({PARENT: None, SEARCH: None, SWEPT: None, **self.variables()}):
            yield


@contextmanager
def exported(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables, or unset those that are None, inside the `with` block."""
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
