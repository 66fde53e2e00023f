"""Import the class that a declaration names."""

from __future__ import annotations

from pkgutil import resolve_name


def load_class(target: str, kind: type | tuple[type, ...]) -> type:
    """Import a class by its dotted name.

    Args:
        kind: the class must be derived from this, or have its methods if it is a protocol; or from one of several.

    Raises:
        ValueError: there is no such class, or it is of another kind.
    """
    try:
        found = resolve_name(target)
    except (AttributeError, ImportError) as reason:
        raise ValueError(f"there is no {target}: {reason}") from None
    if not isinstance(found, type) or not issubclass(found, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(f"{each.__module__}.{each.__qualname__}" for each in kinds)
        raise ValueError(f"{target} is not a class derived from, or made like, {names}")
    return found
