"""Import the class that a declaration names."""

from __future__ import annotations

import importlib
from typing import Any, TypeVar, overload

from pipeline.errors import ConfigError

T = TypeVar("T")


@overload
def load_class(target: str, kind: type[T], path: str) -> type[T]: ...


@overload
def load_class(target: str, kind: tuple[type, ...], path: str) -> type: ...


def load_class(target: str, kind: type | tuple[type, ...], path: str) -> type:
    """Import a class by its dotted name.

    Args:
        kind: the class must be derived from this, or have its methods if it is a protocol; or from one of several.
        path: the setting that names it, for the error.

    Raises:
        ConfigError: there is no such class, it is of another kind, or importing it fails.
    """
    if "." not in str(target):
        raise ConfigError(path, f"{target} has no package", got=target, hint="write it as in torch.nn.ReLU")
    found = import_name(target, path)
    if found is None:
        raise ConfigError(path, f"there is no {target}", got=target, hint="correct the name")
    if not isinstance(found, type) or not issubclass(found, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(f"{each.__module__}.{each.__qualname__}" for each in kinds)
        raise ConfigError(
            path,
            f"{target} is not a class derived from, or made like, {names}",
            got=target,
            hint="name one that is",
        )
    return found


def import_name(target: str, path: str) -> Any:
    """Import what a dotted name refers to.

    Args:
        target: package, module and name, such as `torch.nn.ReLU`.
        path: the setting that names it, for the error.

    Returns:
        None if there is no such module or name.

    Raises:
        ConfigError: the module exists, but importing it fails.
    """
    module, _, name = target.rpartition(".")
    if not module:
        return None
    try:
        home = importlib.import_module(module)
    except (ImportError, SyntaxError) as reason:
        missing = reason.name if isinstance(reason, ModuleNotFoundError) else None
        if missing is None or not f"{module}.".startswith(f"{missing}."):
            text = " ".join(f"{type(reason).__name__}: {reason}".split())
            hint = "install what it imports, or correct it"
            raise ConfigError(path, f"{module} cannot be imported ({text})", got=target, hint=hint) from None
        home = import_name(module, path)  # a class, which the name is an attribute of
    return getattr(home, name, None)
