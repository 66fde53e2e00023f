"""The progress bar, as it arrives at a terminal."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.declaration.composition import compose
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.progress import shows_bar
from tests.training.fitting import trained

Frames = Callable[[], list[str]]
BAR = re.compile(r"epoch (\d)/4\|.*?\| *(\d+) %, (\?|\d\d:\d\d) left *")
REMARK = "a remark while the bar is shown"


@contextmanager
def terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Frames]:
    """Let stderr be a terminal; yield a function that closes it and returns what appeared, line by line."""
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    found: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(reading, 65536):
                found.append(chunk)
        except OSError:  # the terminal is closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", stream)

    def frames() -> list[str]:
        stream.close()
        reader.join()
        return re.split(r"[\r\n]+", b"".join(found).decode())

    try:
        yield frames
    finally:
        stream.close()
        reader.join()
        os.close(reading)


def remarks(history: Sequence[object]) -> bool:
    sys.stderr.write(f"{REMARK} {len(history)}\n")
    return False


@pytest.mark.parametrize("columns", [80, 40])
def test_bar_fits_the_terminal_below_a_line_per_epoch(
    columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(columns, monkeypatch) as frames:
        stream = sys.stderr
        assert trained(
            RunFolder(tmp_path / "run"), TrainingObserver(should_stop=remarks), "trainer.progress=true"
        )
        assert sys.stderr is stream
        shown = frames()
    bars = [frame for frame in shown if BAR.fullmatch(frame)]
    lines = [frame for frame in shown if frame.strip() and frame not in bars]
    assert all(len(bar) < columns for bar in bars)
    assert {found[1] for bar in bars if (found := BAR.fullmatch(bar))} == {"1", "2", "3", "4"}
    lines = [line for line in lines if not line.startswith("epoch 4: ")]  # a remark on this small network
    told = [line for line in lines if REMARK in line or "train/loss" in line]
    assert [line.split("  ")[0] for line in told] == [
        text for number in range(1, 5) for text in (f"epoch {number}/4", f"{REMARK} {number}")
    ]
    assert told == lines, "nothing else is left, and no line has a part of a bar in it"
    assert not shown[-1].strip(), "the bar is removed"


def test_bar_of_a_resumed_training_begins_where_that_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not trained(folder, TrainingObserver(should_stop=lambda history: len(history) == 3))
    with terminal(80, monkeypatch) as frames:
        assert trained(folder, TrainingObserver(), "trainer.progress=true")
        shown = [found for frame in frames() if (found := BAR.fullmatch(frame))]
    assert (shown[0][1], shown[0][2], shown[0][3]) == ("4", "75", "?")


def test_bar_is_removed_before_an_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bool:
        raise RuntimeError("as a test wants")

    with terminal(80, monkeypatch) as frames:
        stream = sys.stderr
        with pytest.raises(RuntimeError):
            trained(RunFolder(tmp_path / "run"), TrainingObserver(should_stop=fail), "trainer.progress=true")
        assert sys.stderr is stream
        assert not frames()[-1].strip()


def test_workers_that_share_a_terminal_show_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = compose([]).trainer
    with terminal(80, monkeypatch):
        assert shows_bar(settings)
        assert not shows_bar(compose(["trainer.progress=false"]).trainer)
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        assert not shows_bar(settings)
        monkeypatch.delenv("LOCAL_RANK")
        monkeypatch.setattr(multiprocessing, "parent_process", object)
        assert not shows_bar(settings)
