"""Kill a command at a chosen file event, in a process that is forked from one with all heavy libraries.

Usage: python -m tests.campaigns.kills, with one JSON object per line on stdin (see `Case`), and one per line on stdout.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}


class Killer:
    """Count the file events of this process below a folder, and kill it at one of them.

    Args:
        root: the project's folder.
        at: number of the event that does not happen, counted from 1; 0 for none.
    """

    def __init__(self, root: Path, at: int) -> None:
        self._root = str(root)
        self._at = at
        self.events: list[str] = []

    def install(self) -> None:
        """Count from now on."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        fsync = os.fsync

        def counted(descriptor: int) -> None:
            self._count("fsync", "")
            fsync(descriptor)

        os.fsync = counted
        event.listen(Engine, "commit", lambda _: self._count("commit", ""))
        sys.addaudithook(self._audit)

    def _audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES:
                self._count("open", path)
        elif name in EVENTS:
            self._count(name, arguments[0])

    def _count(self, name: str, path: Any) -> None:
        place = os.path.realpath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""
        if place and not place.startswith(self._root):
            return
        self.events.append(f"{name} {place.removeprefix(self._root)}")
        if len(self.events) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def run(case: dict[str, Any]) -> None:
    """Run one command in this process, and write its events to `events.json` beside the project."""
    root = Path(case["root"])
    os.chdir(root)
    output = os.open(root.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = [case["module"], *case["arguments"]]
    killer = Killer(root.resolve(), case["at"])
    killer.install()
    from importlib import import_module

    from pipeline.errors import exit_on_mistake

    main: Callable[[], None] = import_module(case["module"]).main
    code = 0
    try:
        exit_on_mistake(main)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    root.with_suffix(".json").write_text(json.dumps(killer.events))
    os._exit(code)


def serve() -> None:
    """Fork a process per line of stdin."""
    import pipeline.search
    import pipeline.tracking.comparison
    import pipeline.train
    import pipeline.training.evaluation
    import pipeline.training.fit  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
