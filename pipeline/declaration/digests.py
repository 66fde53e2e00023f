"""Digests of plain values and of source code: how two declarations are told apart."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

from pipeline.files import remembered, state_of

LENGTH = 16  # hexadecimal digits; 64 bits


def digest(value: Any) -> str:
    """Return a digest of a JSON-like value; the order of keys does not matter, the types of values do."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def code_digest(paths: Iterable[Path], *, root: Path) -> str:
    """Return a digest of what Python files do: comments, docstrings and layout do not count.

    Args:
        paths: files, or folders whose `*.py` files count at any depth.
        root: the project's folder, whose cache remembers what each file says: to parse them all takes longer than
            anything else in a command that has nothing to do.
    """
    files: dict[str, Path] = {}
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = f"{path.name}/{file.relative_to(path)}"
            assert name not in files, f"two of the paths hold a {name}"
            files[name] = file
    version = ".".join(map(str, sys.version_info[:2]))  # by which the same tree is written differently
    wanted = [
        (
            str(file.absolute()),
            f"{version} {state_of(file)}",
            partial(_meaning, file, file.stat().st_mtime_ns),
        )
        for file in files.values()
    ]
    return digest(dict(zip(files, remembered(root / "cache" / "code.json", wanted), strict=True)))


@cache
def _meaning(file: Path, changed: int) -> str:  # noqa: ARG001
    """Return the digest of what a file says to Python, read once as long as it does not change."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
