"""What was computed from files, remembered in a JSON file for as long as they do not change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.files import write_text

Known = dict[str, dict[str, str]]


def remembered(memory: Path, wanted: Iterable[tuple[str, str, Callable[[], str]]]) -> list[str]:
    """Return texts, computed where they are not remembered.

    Args:
        memory: the JSON file; several processes may use it at once.
        wanted: for each text its key, the state of what it is computed from, and how to compute it.
    """
    known, is_new = _recall(memory), False
    texts = []
    for key, state, compute in wanted:
        if known.get(key, {}).get("state") != state:
            known[key], is_new = {"state": state, "text": compute()}, True
        texts.append(known[key]["text"])
    if is_new:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_text(memory, json.dumps(known, indent=1))
    return texts


def state_of(file: Path) -> str:
    """Return a text that changes when a file does: its length and modification time."""
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _recall(memory: Path) -> Known:
    try:
        known: Known = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return known
