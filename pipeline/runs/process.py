"""Processes that a command starts for its work: they end with it, even if it is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from functools import cache

from pipeline.runs.command import GRACE, StopHandler, stoppable

POLL = 0.5  # seconds


@cache
def end_with_parent() -> None:
    """Let this process end when the process that started it has ended; once per process.

    Polls, since a process can be told of its parent's death on Linux only, and there of the death of a thread.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def join_command() -> None:
    """Let a worker of a launcher stop on signals and end with its command; the command itself does so already."""
    if not isinstance(signal.getsignal(signal.SIGTERM), StopHandler):
        _stop_for_good()
        end_with_parent()


@cache
def _stop_for_good() -> ExitStack:
    stack = ExitStack()  # kept by the cache, since it is closed with its last reference
    stack.enter_context(stoppable())
    return stack


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)
