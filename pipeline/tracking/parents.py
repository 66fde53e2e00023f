"""The parent run of a sweep or search."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from pipeline.runs.context import RunContext
from pipeline.tracking.dead_runs import close_dead_runs
from pipeline.tracking.run import TrackedRun


class Parent:
    """An open parent run; runs that are trained in its context become its children.

    As a context manager, it closes the run as FINISHED, as KILLED on interruption, or as FAILED with the reason.

    Args:
        tracked: the run.
        swept: override keys that vary between the children.
        search: folder of the search, relative to the project's folder; None for a sweep.
    """

    def __init__(self, tracked: TrackedRun, *, swept: Iterable[str], search: str | None = None) -> None:
        self.tracked = tracked
        self.context = RunContext(tracked.store.root, tracked.run_id, search, tuple(swept))
        self._exported = ExitStack()
        self._exported.enter_context(self.context.exported())  # Hydra's jobs may run in other processes

    def __enter__(self) -> Parent:
        """Return this parent."""
        return self

    def __exit__(self, kind: type[BaseException] | None, reason: BaseException | None, _: object) -> None:
        """Close the run with the status that corresponds to the exception, if any."""
        if kind is None:
            self.close("FINISHED")
        elif issubclass(kind, KeyboardInterrupt | SystemExit):
            store = self.tracked.store
            self.close("KILLED")
            close_dead_runs(
                store.root, store.experiment
            )  # those of the launcher's workers, which it has killed
        else:
            self.close("FAILED", reason=f"{kind.__name__}: {reason}")

    def close(self, status: str, *, reason: str = "") -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self._exported.close()
        self.tracked.end(status, reason=reason)
