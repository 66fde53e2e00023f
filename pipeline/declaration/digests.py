"""Digests of plain values and of source code, by which two declarations or two versions of the code differ."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from pipeline.files import file_state, memoize_by_mtime

LENGTH = 16  # hexadecimal digits; 64 bits
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Closure:
    """Some modules of this package with all of it that they import, directly or not, at whatever level.

    Args:
        digests: module -> digest of what it says to Python; comments, docstrings and layout do not count.
        libraries: top-level names of the other packages that these modules import.
    """

    digests: dict[str, str]
    libraries: frozenset[str]


def digest(value: Any) -> str:
    """Return a digest of a JSON-like value; the order of keys does not matter, the types of values do."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def import_closure(modules: Iterable[str], *, without: Sequence[str] = (), root: Path) -> Closure:
    """Return what some modules of `pipeline` import, themselves included, as their source says.

    Args:
        modules: dotted names.
        without: modules and packages that are left out, with what only they import.
        root: the project's folder, whose cache remembers what each file says.
    """
    digests: dict[str, str] = {}
    libraries: set[str] = set()
    waiting = list(modules)
    while waiting:
        found = {name: file for name in waiting if (file := _file_of(name)) and not _is_below(name, without)}
        new = {name: file for name, file in found.items() if name not in digests}
        waiting = []
        for name, source in zip(new, _read(new.values(), root), strict=True):
            digests[name] = source.digest
            libraries |= set(source.libraries)
            packages = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
            waiting += [*source.imports, *packages]
    return Closure(dict(sorted(digests.items())), frozenset(libraries))


def file_digests(files: Iterable[Path], *, root: Path) -> list[str]:
    """Return digests of what Python files say, wherever they lie."""
    return [source.digest for source in _read(files, root)]


@dataclass(frozen=True)
class _Source:
    """What a module's source says: its digest, what it imports of this package, and which libraries."""

    digest: str
    imports: list[str]
    libraries: list[str]


def _read(files: Iterable[Path], root: Path) -> list[_Source]:
    """Parse files, or recall what they said: parsing them all takes longer than a command with nothing to do."""
    version = ".".join(map(str, sys.version_info[:2]))  # by which the same tree is written differently
    wanted = [
        (
            str(file.absolute()),
            f"{version} {file_state(file)}",
            partial(_parse, file, file.stat().st_mtime_ns),
        )
        for file in files
    ]
    return [_Source(**json.loads(text)) for text in memoize_by_mtime(root / "cache" / "code.json", wanted)]


@cache
def _parse(file: Path, changed: int) -> str:  # noqa: ARG001
    """Return what a file says as JSON, parsed once as long as it does not change."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = sorted(set(_imported(tree)))
    own = [name for name in names if name.split(".")[0] == PACKAGE.name]
    libraries = sorted({name.split(".")[0] for name in names} - {PACKAGE.name, *sys.stdlib_module_names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    meaning = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return json.dumps({"digest": meaning, "imports": own, "libraries": libraries})


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that code imports, inside functions too, but not for type checkers alone."""
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom) and tree.module and not tree.level:
        yield tree.module
        yield from (f"{tree.module}.{alias.name}" for alias in tree.names)
    for child in ast.iter_child_nodes(tree):
        yield from _imported(child)


@cache
def _file_of(module: str) -> Path | None:
    """Return the file of a module of this package; None for other names, such as those of classes."""
    top, *rest = module.split(".")
    base = PACKAGE.joinpath(*rest)
    files = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return next((file for file in files if top == PACKAGE.name and file.is_file()), None)


def _is_below(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
