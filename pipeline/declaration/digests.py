"""Digests of plain values and of source code, for telling declarations and code versions apart."""

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

LENGTH = 16  # hexadecimal digits, i.e. 64 bits
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Closure:
    """The transitive imports of some modules.

    Args:
        digests: module -> digest of its AST without docstrings; the modules are those of this package.
        libraries: top-level names of the third-party packages that these modules import.
    """

    digests: dict[str, str]
    libraries: frozenset[str]


def digest(value: Any) -> str:
    """Return the digest of a JSON-serializable value; independent of key order, but not of types (1 is not 1.0)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def import_closure(modules: Iterable[str], *, without: Sequence[str] = (), root: Path) -> Closure:
    """Return modules of `pipeline` with everything they import, by static analysis of their source.

    Args:
        modules: dotted names.
        without: modules and packages to exclude, together with anything that only they import.
        root: the project's folder; parsed files are cached below it.
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
    """Return the digests of Python files inside or outside this package."""
    return [source.digest for source in _read(files, root)]


@dataclass(frozen=True)
class _Source:
    """The parsed source of a module: its digest, its imports from this package, and the libraries it imports."""

    digest: str
    imports: list[str]
    libraries: list[str]


def _read(files: Iterable[Path], root: Path) -> list[_Source]:
    """Parse files, using cached results for unchanged ones, since parsing would dominate short commands."""
    version = ".".join(map(str, sys.version_info[:2]))  # `ast.dump` differs between Python versions
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
    """Return the fields of `_Source` as JSON; `changed` makes the cache miss when the file is modified."""
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
    """Yield the dotted names of all imports, including those inside functions, except under `TYPE_CHECKING`."""
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
    """Return the file of a module of this package; None if the name is not a module, such as a class."""
    top, *rest = module.split(".")
    base = PACKAGE.joinpath(*rest)
    files = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return next((file for file in files if top == PACKAGE.name and file.is_file()), None)


def _is_below(module: str, packages: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
