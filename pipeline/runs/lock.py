"""A lock file that is held by one process, and released when the process exits or is killed.

The lock belongs to the open file (flock), and forked processes, such as loader workers, share open files: they close
theirs at once, so that they do not hold the lock on when their parent is killed. POSIX record locks (lockf) are not
inherited, but are lost when the process closes any descriptor of the file, as `is_held` does.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

POLL = 0.2  # seconds between two attempts
_HELD: Final[list[TextIO]] = []  # the lock files of this process, for those that it forks


class Held(Exception):
    """The lock is held by another process; the message names it."""


@contextmanager
def locked(path: Path, *, waits: bool, on_wait: Callable[[str], object] | None = None) -> Iterator[None]:
    """Hold the lock file at `path`.

    Args:
        waits: whether to wait for another holder; otherwise raise immediately.
        on_wait: called once with the holder's description before waiting.

    Raises:
        Held: another process holds it and `waits` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        has_called = False
        while not _try(file.fileno()):
            file.seek(0)
            holder = file.read().strip() or "another process"
            if not waits:
                raise Held(holder)
            if on_wait is not None and not has_called:
                on_wait(holder)
                has_called = True
            time.sleep(POLL)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        _HELD.append(file)
        try:
            yield
        finally:
            _HELD.remove(file)


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock file at `path`."""
    try:
        with path.open("r+", encoding="utf-8") as file:  # creates nothing, unlike "a+"
            return not _try(file.fileno())
    except FileNotFoundError:
        return False


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _let_go() -> None:
    """Close the lock files that a forked process has from its parent, which still holds the locks."""
    for file in _HELD:
        file.close()


os.register_at_fork(after_in_child=_let_go)
