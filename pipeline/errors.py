"""How a user's mistake is told: one sentence with the setting, the value got and the way out."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from functools import cache


class ConfigError(ValueError):
    """A setting that cannot work; its text is complete and is shown without a traceback."""


@cache
def warn(text: str) -> None:
    """Tell on stderr, once per process, what works but is probably not meant."""
    sys.stderr.write(f"warning: {text}\n")


def closest(name: object, names: Iterable[str]) -> str:
    """Return what to say after an unknown name: the closest right one, then all of them.

    Args:
        name: what the user wrote.
        names: what is allowed.
    """
    allowed = sorted(set(names))
    return f"{nearest(name, allowed)}allowed: {', '.join(allowed) or 'nothing'}"


def nearest(name: object, names: Iterable[str]) -> str:
    """Return the question whether the closest name was meant; nothing where none is close."""
    near = difflib.get_close_matches(str(name), sorted(set(names)), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? " if near else ""


def exit_on_mistake(main: Callable[[], None]) -> None:
    """Run a command; end a user's mistake with its sentence on stderr and exit code 1.

    Anything else keeps its traceback: that one is ours.
    """
    try:
        main()
    except ConfigError as mistake:
        sys.stderr.write(f"error: {mistake}\n")
        raise SystemExit(1) from None
