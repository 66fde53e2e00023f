"""The frame of a command: mistakes in one sentence, and an orderly end on a signal.

A signal that asks a process to stop becomes an exception, so that all that is open is closed: MLflow runs as KILLED,
locks, child processes.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pipeline.errors import ConfigError, StorageError

GRACE = 8  # seconds that a process has to close what is open


class Stopped(SystemExit):
    """A signal asked this process to stop; its exit code is 128 plus the number of the signal."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(128 + number)

    def __reduce__(self) -> tuple[type[Stopped], tuple[int]]:
        """Pickle it by its number: launchers pass exceptions from their workers on."""
        return type(self), (int(self.signal),)


class StopHandler:
    """Raise `Stopped` at the first signal, and ignore the next ones, so that cleaning up is not interrupted."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._on_terminal = [
            number for number in (1, 2) if os.isatty(number)
        ]  # a closed one is none any more

    def __call__(self, number: int, _: object) -> None:
        """Handle a signal."""
        if self.received is not None:
            return
        self.received = number
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch raises when its workers get the signal, too
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(GRACE)  # ends the process even if a library swallows the exception
        if number == signal.SIGHUP:
            self._leave_terminal()
        raise Stopped(number)

    def _leave_terminal(self) -> None:
        """Send the output nowhere if it went to the terminal that was closed, since writing there raises errors."""
        for number in self._on_terminal:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, number)
            os.close(null)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` on Ctrl-C, SIGTERM and SIGHUP inside the block; signals that are handled otherwise are not."""
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    handler, is_main = StopHandler(), threading.current_thread() is threading.main_thread()
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {
        each: signal.getsignal(each) for each in stops if is_main and signal.getsignal(each) in defaults
    }
    for each in before:
        signal.signal(each, handler)
    try:
        yield
    finally:
        if handler.received is None:
            for each, known in before.items():
                signal.signal(each, known)


def exit_on_mistake(main: Callable[[], None], *, has_own_help: bool = False) -> None:
    """Run a command; report a `ConfigError` in one sentence on stderr, and exit with code 1.

    A signal that asks the command to stop ends it in an orderly way, with code 128 plus its number.

    Args:
        has_own_help: whether it answers `--help` itself; otherwise the docstring of its module is printed.
    """
    if sys.argv[1:] in (["-h"], ["--help"]) and not has_own_help:
        sys.stdout.write(f"{(sys.modules[main.__module__].__doc__ or '').strip()}\n")
        return
    try:
        with stoppable():
            report_mistake(main)
    except Stopped as stop:
        with suppress(OSError):
            sys.stderr.write(f"stopped by {stop.signal.name}; the same command goes on\n")
        signal.alarm(GRACE)  # again, for what is registered to run at the exit
        gc.freeze()  # the interpreter would look for cycles among all objects, for seconds
        raise


def report_mistake(main: Callable[[], None]) -> None:
    """Report a `ConfigError`, or an error of storage, in one sentence on stderr, and exit with code 1.

    Other exceptions keep their traceback, since they are bugs.
    """
    try:
        main()
    except Exception as reason:
        mistake = reason if isinstance(reason, ConfigError) else StorageError.behind(reason)
        if mistake is None:
            raise
        sys.stderr.write(f"error: {mistake}\n")
        raise SystemExit(1) from None
