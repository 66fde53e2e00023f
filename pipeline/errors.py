"""Reporting of user errors: one sentence with the setting, the value found and how to fix it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final


class _Unset:
    """The type of `UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final[Any] = _Unset()  # where None is a valid value


class ConfigError(ValueError):
    """An invalid setting, file or command, reported as one sentence without a traceback.

    The sentence reads `<path> must be <allowed>, got <got>; <hint>`, or `<path>: <problem>, got <got>; <hint>`; parts
    that are not given are left out.

    Args:
        path: config path of the setting, such as `trainer.max_epochs`; or a file, or a command.
        problem: what is wrong, if `must be <allowed>` does not describe it.
        got: the value found.
        allowed: what the value may be: a phrase that ends "must be ...", or the names to choose from.
        hint: how to fix it: what to write or type instead.
    """

    def __init__(
        self,
        path: str,
        problem: str = "",
        *,
        got: Any = UNSET,
        allowed: str | Collection[str] = "",
        hint: str = "",
    ) -> None:
        self.path = path
        self.problem = problem
        self.got = got
        self.allowed = allowed
        self.hint = hint
        super().__init__(self._sentence())

    @classmethod
    def unknown(cls, path: str, got: object, names: Iterable[str], *, what: str = "name") -> ConfigError:
        """Return the error for an unknown name; its hint suggests the closest allowed one.

        Args:
            names: the allowed names.
            what: the kind of name, such as `option`.
        """
        allowed = sorted(set(names))
        hint = f"{nearest(got, allowed)}allowed: {', '.join(allowed) or 'nothing'}"
        return cls(path, f"unknown {what} '{got}'", got=got, allowed=allowed, hint=hint)

    def inside(self, file: Path) -> ConfigError:
        """Return this error with the file that the setting was read from in front of its path."""
        return ConfigError(
            f"{file}: {self.path}", self.problem, got=self.got, allowed=self.allowed, hint=self.hint
        )

    def _sentence(self) -> str:
        if not isinstance(self.allowed, str):  # names, which the hint lists
            return f"{self.path}: {self.problem}; {self.hint}"
        head = f"{self.path}: {self.problem}" if self.problem else self.path
        must = f" must be {self.allowed}" if self.allowed and not self.problem else ""
        got = "" if self.got is UNSET else f", got {self.got!r}"
        return head + must + got + (f"; {self.hint}" if self.hint else "")


class DamagedFileError(ConfigError):
    """A file that Convoy wrote, and that no longer has the content that it was written with.

    Args:
        file: the damaged file.
        problem: how the damage shows, such as `is empty`.
        hint: how to get the file back.
    """

    def __init__(self, file: Path, problem: str, *, hint: str = "") -> None:
        self.file = file
        super().__init__(
            str(file),
            problem,
            hint=hint or "it was damaged after it was written, as by a power cut; delete it",
        )


@cache
def warn(text: str) -> None:
    """Warn on stderr, once per process, about a valid setting that is probably unintended."""
    sys.stderr.write(f"warning: {text}\n")


def nearest(name: object, names: Iterable[str]) -> str:
    """Return a "did you mean" suggestion for the closest name; empty if none is close."""
    near = difflib.get_close_matches(str(name), sorted(set(names)), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? " if near else ""


def exit_on_mistake(main: Callable[[], None]) -> None:
    """Run a command; report a `ConfigError` in one sentence on stderr, and exit with code 1.

    Other exceptions keep their traceback, since they are bugs.
    """
    try:
        main()
    except ConfigError as mistake:
        sys.stderr.write(f"error: {mistake}\n")
        raise SystemExit(1) from None
