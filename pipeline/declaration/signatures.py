"""Signatures of constructors, read from source without importing it.

A constructor's signature is the schema of its config section. Importing Lightning or albumentations to inspect one
takes seconds, so names are resolved statically instead, through re-exports, star imports and base classes. Names that
cannot be resolved this way (compiled code, names defined at run time) are not checked.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef
HEAD = re.compile(r"^class (?P<name>\w+)\s*(?:\((?P<bases>[^:]*)\))?\s*:", re.MULTILINE)
IMPORT = re.compile(r"^[ \t]*((?:from [\w.]+ )?import (?:\([^)]*\)|.*))", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name, its annotation as an expression, and whether it is optional."""

    name: str
    annotation: ast.expr | None
    has_default: bool


@dataclass(frozen=True)
class Signature:
    """The parameters that can be passed by keyword, in order; `is_open` if there are `**kwargs`."""

    parameters: tuple[Parameter, ...]
    is_open: bool

    def names(self) -> tuple[str, ...]:
        """Return the names of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)


def find_module(target: str) -> str | None:
    """Return the module that defines a dotted name, resolving re-exports; None if it cannot be found."""
    found = _locate(target)
    return None if found is None else found[0]


def is_class(target: str, bases: Collection[str] = ()) -> bool:
    """Return whether a dotted name is a class, and one of some base classes or derived from one of them.

    Args:
        bases: dotted names as the classes are defined, not as they are re-exported; empty to accept any class.
    """
    found = _locate(target)
    head = None if found is None else HEAD.search(found[1])
    if found is None or head is None:
        return False
    module = found[0]
    if not bases or f"{module}.{head['name']}" in bases:
        return True
    written = ast.parse(f"class _({head['bases'] or ''}): ...").body[0]
    assert isinstance(written, ast.ClassDef)
    return any(is_class(name, bases) for base in written.bases for name in _base_names(module, base))


def _base_names(module: str, base: ast.expr) -> Iterator[str]:
    """Yield the dotted names that a base class, as written in a module, can have."""
    written = ast.unparse(base).split("[")[0]
    first, dot, rest = written.partition(".")
    file = module_file(module)
    if not dot or file is None:
        yield f"{module}.{written}"
        return
    for node in _imports(file.read_text(encoding="utf-8")):
        for alias in node.names:
            if (alias.asname or alias.name) == first:
                home = f"{_origin(module, file, node)}." if isinstance(node, ast.ImportFrom) else ""
                yield f"{home}{alias.name}.{rest}"


def names_in(module: str) -> frozenset[str]:
    """Return the public classes and functions that a module defines, or re-exports by star imports."""
    file = module_file(module)
    if file is None:
        return frozenset()
    text = file.read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:class|def) ([A-Za-z]\w*)", text, re.MULTILINE))
    for dots, origin in re.findall(r"^from (\.*)([\w.]*) import \*", text, re.MULTILINE):
        node = ast.ImportFrom(module=origin or None, names=[], level=len(dots))
        names |= names_in(_origin(module, file, node))
    return frozenset(names)


def signature(target: str) -> Signature | None:
    """Return the signature of a class or function named by its dotted name.

    Returns:
        None if it cannot be resolved from source.
    """
    found = _find(target)
    return None if found is None else _signature(*found)


def _signature(module: str, node: Definition) -> Signature | None:
    if isinstance(node, ast.FunctionDef):
        return _of_function(node, has_self=False)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__new__":
            return None
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            own, handed_on = _of_function(statement, has_self=True), _handed_on(statement)
            return own if handed_on is None else _joined(own, _of_bases(module, node), handed_on)
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return _of_dataclass(node)
    return _of_bases(module, node)


def _of_bases(module: str, node: ast.ClassDef) -> Signature | None:
    for base in node.bases:
        name = ast.unparse(base)
        if name in ("object", "Exception") or name.split("[")[0] in ("Generic", "Protocol", "ABC"):
            continue
        found = _find(f"{module}.{name}") or _find(name)
        if found is not None:
            return _signature(*found)
        return None
    return Signature((), is_open=False)


def _handed_on(init: ast.FunctionDef) -> ast.Call | None:
    """Return the call of the base class's constructor that gets the `**kwargs`, if there is one."""
    calls = (node for node in ast.walk(init) if isinstance(node, ast.Call) and init.args.kwarg)
    bases = (call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "__init__")
    return next((call for call in bases if any(word.arg is None for word in call.keywords)), None)


def _joined(own: Signature, base: Signature | None, call: ast.Call) -> Signature:
    if base is None:
        return own
    taken = {*own.names(), *(word.arg for word in call.keywords)}
    more = tuple(p for p in base.parameters[len(call.args) :] if p.name not in taken)
    return Signature((*own.parameters, *more), base.is_open)


def _of_function(node: ast.FunctionDef, *, has_self: bool) -> Signature:
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = len(node.args.defaults)
    parameters = [
        Parameter(each.arg, each.annotation, index >= len(positional) - defaults)
        for index, each in enumerate(positional)
    ][1 if has_self else 0 :]
    parameters += [
        Parameter(each.arg, each.annotation, default is not None)
        for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    ]
    return Signature(tuple(parameters), node.args.kwarg is not None)


def _of_dataclass(node: ast.ClassDef) -> Signature:
    fields = [
        Parameter(each.target.id, each.annotation, each.value is not None)
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]
    return Signature(tuple(fields), is_open=False)


@cache
def _find(target: str) -> tuple[str, Definition] | None:
    """Resolve a dotted name to the module and the AST node that define it."""
    found = _locate(target)
    if found is None:
        return None
    module, source = found
    try:
        node = ast.parse(source).body[0]
    except SyntaxError:  # a multi-line string contains unindented lines
        file, named = module_file(module), re.search(r"^(?:class|def) (\w+)", source, re.MULTILINE)
        assert file is not None
        assert named is not None
        whole = _nested(file.read_text(encoding="utf-8"), named[1])
        return None if whole is None else (module, whole)
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    return module, node


@cache
def _locate(target: str) -> tuple[str, str] | None:
    """Resolve a dotted name to the module that defines it and the source of the definition.

    Parsing large modules is slow, so definitions and imports are first looked for by their lines.
    """
    module, _, name = target.rpartition(".")
    file = module_file(module) if module and name else None
    if file is None:
        return None
    text = file.read_text(encoding="utf-8")
    if name not in text and "import *" not in text:
        return None
    source = _definition(text, name)
    if source is not None:
        return module, source
    origins: list[str] = []
    for statement in _imports(text):
        if isinstance(statement, ast.Import):
            continue
        origin = _origin(module, file, statement)
        for alias in statement.names:
            if (alias.asname or alias.name) == name and f"{origin}.{alias.name}" != target:
                return _locate(f"{origin}.{alias.name}")
            origins += [origin] if alias.name == "*" and origin != module else []
    found = (_locate(f"{origin}.{name}") for origin in origins)
    imported = next((each for each in found if each is not None), None)
    node = _nested(text, name) if imported is None else None
    return imported if node is None else (module, ast.unparse(node))


def _definition(text: str, name: str) -> str | None:
    """Return the lines that define a class or function at the top level of a module."""
    decorators, body = r"(?:@.*\n(?:[ \t)].*\n)*)*", r"(?:(?:[ \t#)].*)?\n)*"
    lines = re.search(rf"^{decorators}(?:class|def) {re.escape(name)}\b.*\n{body}", text, re.MULTILINE)
    return None if lines is None else lines[0]


def _nested(text: str, name: str) -> Definition | None:
    """Look for a definition in the whole syntax tree, which also finds those under `if`, `try` or `with`."""
    for node in _statements(ast.parse(text)) if f" {name}" in text else ():
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
    return None


def _imports(text: str) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the import statements of a module."""
    for written in IMPORT.findall(text):
        try:
            (node,) = ast.parse(written).body
        except (SyntaxError, ValueError):  # text that looks like an import
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield a module's statements, including those under `if`, `try` and `with`."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from (*node.body, *getattr(node, "orelse", ()))


def _origin(module: str, file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    steps = node.level - (1 if file.name == "__init__.py" else 0)
    parent = ".".join(module.split(".")[: len(module.split(".")) - steps])
    return f"{parent}.{node.module}" if node.module else parent


@cache
def module_file(module: str) -> Path | None:
    """Return a module's source file; only its top package is looked up, nothing is imported."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        origin = spec.origin if spec is not None and not rest else None
        return Path(origin) if origin and origin.endswith(".py") else None
    for location in spec.submodule_search_locations:
        base = Path(location, *rest)
        for file in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if file.is_file() and (rest or file.name == "__init__.py"):
                return file
    return None
