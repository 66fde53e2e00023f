"""Digests of plain values and of source code: how two declarations are told apart."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

LENGTH = 16  # hexadecimal digits; 64 bits


def digest(value: Any) -> str:
    """Return a digest of a JSON-like value; the order of keys does not matter, the types of values do."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def code_digest(paths: Iterable[Path]) -> str:
    """Return a digest of what Python files do: comments, docstrings and layout do not count.

    Args:
        paths: files, or folders whose `*.py` files count at any depth.
    """
    sources: dict[str, str] = {}
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = f"{path.name}/{file.relative_to(path)}"
            assert name not in sources, f"two of the paths hold a {name}"
            sources[name] = _meaning(file, file.stat().st_mtime_ns)
    return digest(sources)


@cache
def _meaning(file: Path, changed: int) -> str:  # noqa: ARG001
    """Return what a file says to Python, read once as long as it does not change."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree)
