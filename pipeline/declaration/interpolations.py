"""The size of a config when its interpolations (`${data.name}`) are replaced by the values that they name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError

MOST_CHARACTERS = 1_000_000
REFERENCE = re.compile(r"\$\{\s*(\.*)([^:{}]*?)\s*\}")  # leading dots, and a path; resolvers contain a colon


def check_interpolations(config: Any) -> None:
    """Check that a config does not get huge when it is resolved, as interpolations of interpolations can make it.

    Args:
        config: mapping of plain values, not resolved.

    Raises:
        ConfigError: it does.
    """
    known: dict[tuple[str, ...], int] = {}
    if (size := _size(config, (), config, known)) > MOST_CHARACTERS:
        path = max((path for path in known if path), key=lambda path: (len(path) == 1, known[path]))
        raise ConfigError(
            ".".join(path),
            f"the config has {size:,} characters once its interpolations are replaced, more than {MOST_CHARACTERS:,}",
            hint="write values out",
        )


def _size(node: Any, path: tuple[str, ...], config: Any, known: dict[tuple[str, ...], int]) -> int:
    """Return the number of characters of a node at a path, and enter it in `known`; 0 while it is being counted."""
    if path in known:
        return known[path]
    known[path] = 0
    if isinstance(node, Mapping | list):
        entries = node.items() if isinstance(node, Mapping) else enumerate(node)
        size = sum(_size(each, (*path, str(key)), config, known) for key, each in entries)
    else:
        text = str(node)
        size = len(text)
        for dots, name in REFERENCE.findall(text) if "${" in text else ():
            place = (*(path[: len(path) - len(dots)] if dots else ()), *re.findall(r"[^.\[\]]+", name))
            size += _size(_at(config, place), place, config, known)
    known[path] = size
    return size


def _at(config: Any, path: tuple[str, ...]) -> Any:
    """Return the node at a path; empty text if there is none, which is an error that resolving reports."""
    node = config
    for key in path:
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, Mapping) and key in node:
            node = node[key]
        else:
            return ""
    return node
