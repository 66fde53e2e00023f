"""A lock file that is held by one process, and released when the process exits or is killed."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = 0.2  # seconds between two attempts


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
        yield


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
