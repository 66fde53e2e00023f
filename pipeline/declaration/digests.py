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

from pipeline.declaration.signatures import module_file
from pipeline.storage.memo import file_state, memoize_by_mtime

LENGTH = 16  # hexadecimal digits, i.e. 64 bits
PACKAGE = Path(__file__).parents[1]
MEMORY = Path("cache") / "sources.json"  # in the project's folder: what each file says


@dataclass(frozen=True)
class Closure:
    """Some modules with all of this package that they import, directly or not, inside functions too.

    Args:
        digests: module -> digest of its source; comments, docstrings and layout do not count.
        libraries: top-level names of the other packages that these modules import.
    """

    digests: dict[str, str]
    libraries: frozenset[str]


def digest(value: Any) -> str:
    """Return the digest of a JSON-serializable value; independent of key order, but not of types (1 is not 1.0)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def import_closure(
    modules: Iterable[str], *, own: Sequence[str] = (), without: Sequence[str] = (), root: Path
) -> Closure:
    """Return what some modules import, themselves included, as their source says.

    Args:
        modules: dotted names.
        own: prefixes of modules of the user that are followed too, such as `mylab.`.
        without: modules and packages that are left out, with what only they import.
        root: the project's folder, whose cache remembers what each file says.
    """
    followed = (f"{PACKAGE.name}.", *own)
    digests: dict[str, str] = {}
    libraries: set[str] = set()
    waiting = list(modules)
    while waiting:
        new = {
            name: file for name in waiting if name not in digests and (file := _find(name, followed, without))
        }
        waiting = []
        for (name, file), source in zip(new.items(), _read(new.values(), root), strict=True):
            digests[name] = source.digest
            imported = [_absolute(each, name, file) for each in source.imports]
            waiting += [each for each in imported if f"{each}.".startswith(followed)]
            waiting += [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
            libraries |= {each.split(".")[0] for each in imported if not f"{each}.".startswith(followed)}
    return Closure(dict(sorted(digests.items())), frozenset(libraries - set(sys.stdlib_module_names)))


@dataclass(frozen=True)
class _Source:
    """What the source of a module says: its digest, and the names that it imports; relative ones start with dots."""

    digest: str
    imports: list[str]


def _read(files: Iterable[Path], root: Path) -> list[_Source]:
    """Parse files, or recall what they said: parsing them all takes longer than a command with nothing to do."""
    wanted = [
        (str(file.absolute()), file_state(file), partial(_parse, file, file.stat().st_mtime_ns))
        for file in files
    ]
    return [_Source(**json.loads(text)) for text in memoize_by_mtime(root / MEMORY, wanted)]


@cache
def _parse(file: Path, changed: int) -> str:  # noqa: ARG001
    """Return the fields of `_Source` as JSON; `changed` makes the cache miss when the file is modified."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = sorted(set(_imported(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return json.dumps({"digest": digest(_plain(tree)), "imports": imports})


def _plain(node: Any) -> Any:
    """Return a syntax tree as nested lists, without empty fields: each version of Python adds some."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    filled = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
    return [type(node).__name__, *([name, _plain(value)] for name, value in filled)]


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the names that code imports, inside functions too, but not for type checkers alone."""
    children: Iterable[ast.AST] = ast.iter_child_nodes(tree)
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        children = tree.orelse
    elif isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        module = "." * tree.level + (tree.module or "")
        yield module
        yield from (f"{module}{'' if module.endswith('.') else '.'}{alias.name}" for alias in tree.names)
    for child in children:
        yield from _imported(child)


def _absolute(name: str, module: str, file: Path) -> str:
    """Return the absolute form of a name that a module imports."""
    rest = name.lstrip(".")
    level = len(name) - len(rest)
    if not level:
        return name
    steps = level - (file.name == "__init__.py")
    return ".".join([*module.split(".")[: module.count(".") + 1 - steps], *filter(None, [rest])])


def _find(name: str, followed: tuple[str, ...], without: Sequence[str]) -> Path | None:
    """Return the file of a module to follow; None for others, and for names that are no modules, such as classes."""
    is_left_out = any(name == package or name.startswith(f"{package}.") for package in without)
    if is_left_out or not f"{name}.".startswith(followed):
        return None
    return _own_file(name) if name.split(".", maxsplit=1)[0] == PACKAGE.name else module_file(name)


@cache
def _own_file(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    files = (base.with_name(f"{base.name}.py"), base / "__init__.py")
    return next((file for file in files if file.is_file()), None)
