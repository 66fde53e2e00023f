"""A persistent cache of texts that are computed from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from pipeline.errors import DamagedFileError, warn, warn_of_unwritable
from pipeline.storage.sealed import read_sealed, write_sealed

Known = dict[str, dict[str, str]]


def memoize_by_mtime(memory: Path, wanted: Iterable[tuple[str, str, Callable[[], str]]]) -> list[str]:
    """Return cached texts, computing those that are missing or out of date.

    Args:
        memory: the JSON file that holds the cache; may be shared by concurrent processes.
        wanted: for each text, its key, the state of its input (see `file_state`), and a function that computes it.
    """
    known, is_new = _recall(memory), False
    texts = []
    for key, state, compute in wanted:
        if known.get(key, {}).get("state") != state:
            known[key], is_new = {"state": state, "text": compute()}, True
        texts.append(known[key]["text"])
    if is_new:
        try:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(memory, known, of=memory.name)
        except OSError as reason:
            warn_of_unwritable(memory.parent, reason)
    return texts


def file_state(file: Path) -> str:
    """Return the size and modification time of a file as text, for detecting changes."""
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _recall(memory: Path) -> Known:
    try:
        return dict(_load(memory, file_state(memory)))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except DamagedFileError as damage:
        warn(f"{memory} {damage.problem}; it only saves time, and is written again")
        return {}


@lru_cache(maxsize=4)
def _load(memory: Path, state: str) -> Known:  # noqa: ARG001
    """Read a cache file; `state` makes the in-process cache miss when the file has changed."""
    known: Known = read_sealed(memory, of=memory.name)
    return known
