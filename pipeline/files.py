"""Atomic, durable file writes; JSON and YAML."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError, DamagedFileError

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
YAMLError = yaml.YAMLError

MOST_NODES = 20_000  # of YAML with aliases, each replaced by what it stands for


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path`, to be written by the caller, that then replaces `path` atomically and durably.

    After a crash or a power cut, `path` has either its old or its new content. The draft is removed if the block
    raises.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    except OSError as reason:  # of a full disk, it does not name the file
        reason.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes have left of `replacing`; nobody else may write to the folder meanwhile."""
    for path in folder.glob(".*"):
        if path.suffix[1:].isdigit() and path.is_file():
            path.unlink()


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file atomically and durably."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: the file does not contain a JSON object.
    """
    try:
        loaded: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # not UTF-8, or not JSON
        loaded = None
    if not isinstance(loaded, dict):
        raise DamagedFileError(path, "is not a JSON object")
    return loaded


def read_yaml(text: str, name: str = "YAML") -> Any:
    """Parse YAML.

    Args:
        name: of the file, for errors.

    Raises:
        YAMLError: the text is not valid YAML.
        ConfigError: its aliases make it much larger than it looks.
    """
    check_aliases(text, name)
    return yaml.load(text, Loader=Loader)


def check_aliases(text: str, name: str) -> None:
    """Check how large YAML gets when each alias (`*anchor`) is replaced by what it stands for.

    Raises:
        ConfigError: it gets too large, or an alias stands inside what it names.
    """
    if "&" not in text or "*" not in text:
        return
    try:
        count = _count_nodes(text)
    except YAMLError:
        return  # whoever loads it says why
    if count > MOST_NODES:
        raise ConfigError(
            name, f"its aliases (*) make more than {MOST_NODES:,} values of it", hint="write the values out"
        )


def _count_nodes(text: str) -> float:
    """Return the number of values in YAML with all aliases replaced; infinite if one stands inside what it names."""
    sizes: dict[str | None, float] = {}  # of what each anchor names
    open_nodes: list[tuple[str | None, float]] = []  # anchor, and the number of nodes before it
    count = 0.0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.AliasEvent):
            count += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            sizes[event.anchor] = inf
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes[anchor] = count - before
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor] = 1
            count += 1
    return count


def yaml_text(values: Any, *, width: int = 80) -> str:
    """Return values as YAML, preserving the order of keys.

    Args:
        width: line width in characters, at which long strings are wrapped.
    """
    text: str = yaml.dump(values, Dumper=Dumper, sort_keys=False, width=width)
    return text
