"""A trap: packages and files that a hostile declaration names, and a watch on what happens meanwhile."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.grants import VARIABLE
from pipeline.errors import ConfigError

SECONDS = 5  # of this process; the clock would measure what else the machine does
RUNNING = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
    "urllib",
)

happened: list[str] = []
watched: list[Path] = []  # the folder of the trap, while an attack runs


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not watched:
        return
    if event.startswith(RUNNING):
        happened.append(f"{event} {arguments}")
    if event == "open" and watched[0] in Path(str(arguments[0])).absolute().parents:
        happened.append(f"opened {arguments[0]}")


sys.addaudithook(_watch)


def set_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder, and return one below it, whose packages and files must be neither imported nor read."""
    folder = tmp_path / "trap"
    task = folder / "trap_of_a_stranger" / "mine"
    task.mkdir(parents=True)
    for name in ("__init__.py", "mine/__init__.py", "mine/demands.py", "mine/task.py"):
        (task.parent / name).write_text("class Evil: ...\n")
    (folder / "secret.json").write_text("{}")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("A_SECRET", "this is secret")
    monkeypatch.chdir(tmp_path)
    return folder


@contextmanager
def nothing_happens(trap: Path, names: str = "") -> Iterator[None]:
    """Expect a refusal in one sentence, soon, in which nothing was run, opened, imported or told.

    Args:
        names: a pattern of what the sentence begins with.
    """
    happened.clear()
    start = time.process_time()
    watched.append(trap)
    try:
        with pytest.raises(ConfigError) as caught:
            yield
    finally:
        watched.clear()
    sentence = str(caught.value)
    assert happened == []
    assert time.process_time() - start < SECONDS
    assert "\n" not in sentence.strip()
    assert re.match(names, sentence), sentence
    assert "this is secret" not in sentence
    assert not [name for name in sys.modules if name.startswith("trap_of")]
