"""The parent run of a sweep or search, and how its children find it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pipeline.tracking.run import TrackedRun
from pipeline.tracking.variables import PARENT_VARIABLE, SEARCH_VARIABLE, SWEPT_VARIABLE


class Parent:
    """An open parent run; trainings in this process, or in processes started meanwhile, become its children.

    As a context manager it closes the run: FINISHED, KILLED when interrupted, or FAILED with the reason.

    Args:
        tracked: the run.
        swept: keys whose values differ between the children.
        search: folder of the search, relative to the project's; empty for a sweep.
    """

    def __init__(self, tracked: TrackedRun, *, swept: Iterable[str], search: str = "") -> None:
        self.tracked = tracked
        self._told = {PARENT_VARIABLE: tracked.run_id, SWEPT_VARIABLE: ",".join(swept)}
        if search:
            self._told[SEARCH_VARIABLE] = search
        os.environ.update(self._told)

    def __enter__(self) -> TrackedRun:
        """Return the run."""
        return self.tracked

    def __exit__(self, kind: type[BaseException] | None, reason: BaseException | None, _: object) -> None:
        """Close the run with the status that fits."""
        if kind is None:
            self.close("FINISHED")
        elif issubclass(kind, KeyboardInterrupt | SystemExit):
            self.close("KILLED")
        else:
            self.close("FAILED", reason=f"{kind.__name__}: {reason}")

    def close(self, status: str, *, reason: str = "") -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        for name in self._told:
            os.environ.pop(name, None)
        self.tracked.end(status, reason=reason)
