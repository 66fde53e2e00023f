"""Locks: one holder at a time, until it exits, even if it is killed."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.runs.lock import Held, is_held, locked

HOLD = """
import sys, time
from pathlib import Path
from pipeline.runs.lock import locked
with locked(Path(sys.argv[1]), waits=False):
    print("held", flush=True)
    time.sleep(600)
"""


FORK = """
import multiprocessing, os, sys, time
from pathlib import Path
from pipeline.runs.lock import locked
def sleep():
    print(os.getpid(), flush=True)
    time.sleep(600)

with locked(Path(sys.argv[1]), waits=False), locked(Path(sys.argv[1]).with_name("other"), waits=False):
    multiprocessing.get_context("fork").Process(target=sleep).start()
    time.sleep(600)
"""


@contextmanager
def held_by_another(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_second_process_is_refused_by_the_name_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "lock"
    with held_by_another(path) as holder:
        assert is_held(path)
        with (
            pytest.raises(Held, match=f"^process {holder.pid} on {socket.gethostname()}$"),
            locked(path, waits=False),
        ):
            pass


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_death_of_the_holder_releases_the_lock(signal_number: int, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_by_another(path) as holder:
        os.kill(holder.pid, signal_number)
        holder.wait()
        assert not is_held(path)
        with locked(path, waits=False):
            assert path.read_text() == f"process {os.getpid()} on {socket.gethostname()}"


def test_waiting_process_is_told_once_and_goes_on_when_the_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    told: list[str] = []
    with held_by_another(path) as holder:
        threading.Timer(0.7, holder.kill).start()
        start = time.monotonic()
        with locked(path, waits=True, on_wait=told.append):
            waited = time.monotonic() - start
    assert told == [f"process {holder.pid} on {socket.gethostname()}"]
    assert 0.5 < waited < 5


def test_lock_is_released_by_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), locked(path, waits=False):
        raise KeyError
    assert not is_held(path)


def test_looking_neither_takes_nor_makes_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "lock"
    assert not is_held(path)
    assert not path.parent.exists()
    with locked(path, waits=False):
        assert is_held(path)
        assert is_held(path)
    assert not is_held(path)
    with locked(path, waits=False):
        pass


@pytest.mark.parametrize("name", ["lock", "other"])
def test_process_that_the_holder_forked_does_not_hold_the_lock_on(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert is_held(tmp_path / name), "a fork does not release it"
            holder.kill()
            holder.wait()
            os.kill(child, 0)
            assert not is_held(tmp_path / name)
        finally:
            holder.kill()
            os.kill(child, signal.SIGKILL)


def test_lock_is_still_held_after_a_fork_and_after_a_look(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", waits=False):
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)
        assert is_held(tmp_path / "lock")
        assert is_held(tmp_path / "lock")
    assert not is_held(tmp_path / "lock")
