"""Errors that are reported in one sentence: the setting or the file, the value found and how to fix it."""

from __future__ import annotations

import difflib
import errno
import re
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from typing import Any, Final


class _Unset:
    """The type of `UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        """Pickle it by its name, since it is compared by identity."""
        return "UNSET"


UNSET: Final[Any] = _Unset()  # where None is a valid value


MOST_NAMES = 60  # that a message lists of those to choose from
USER_OF_URL = re.compile(r"(?<=://)[^\s/?#'\"]+@")
SECRET_OF_URL = re.compile(
    r"([?&][\w-]*(?:token|password|secret|signature|key|sig)=)[^&\s'\"]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return text without the passwords, tokens and user names in its URLs."""
    return SECRET_OF_URL.sub(r"\1***", USER_OF_URL.sub("***@", text))


class ConfigError(ValueError):
    """An invalid setting, file or command, reported as one sentence without a traceback.

    The sentence reads `<path> must be <allowed>, got <got>; <hint>`, or `<path>: <problem>, got <got>; <hint>`; parts
    that are not given are left out, as are passwords in URLs.

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
        super().__init__(redact(self._sentence()))

    @classmethod
    def unknown(cls, path: str, got: object, names: Iterable[str], *, what: str = "name") -> ConfigError:
        """Return the error for an unknown name; its hint suggests the closest allowed one.

        Args:
            names: the allowed names.
            what: the kind of name, such as `option`.
        """
        allowed = sorted(set(names))
        more = f" and {len(allowed) - MOST_NAMES:,} more" if len(allowed) > MOST_NAMES else ""
        hint = f"{nearest(got, allowed)}allowed: {', '.join(allowed[:MOST_NAMES]) or 'nothing'}{more}"
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


@dataclass(frozen=True)
class Range:
    """A range of finite numbers.

    Args:
        least: lower bound, included.
        above: lower bound, excluded.
        most: upper bound, included.
        below: upper bound, excluded.
        is_whole: whether only whole numbers are in the range.
    """

    least: float = -inf
    above: float = -inf
    most: float = inf
    below: float = inf
    is_whole: bool = False

    def __contains__(self, value: object) -> bool:
        """Return whether a value is a number in the range; NaN, infinity, true and false are not."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            return False
        return self.least <= value <= self.most and self.above < value < self.below

    def __str__(self) -> str:
        """Return the phrase that follows "must be"."""
        bounds = (
            ("at least", self.least),
            ("above", self.above),
            ("at most", self.most),
            ("below", self.below),
        )
        text = " and ".join(f"{word} {bound}" for word, bound in bounds if abs(bound) < inf)
        text = f"from {self.least} to {self.most}" if -inf < self.least and self.most < inf else text
        if self.is_whole:
            return f"a whole number{' of' if text.startswith('at') else ''} {text}".rstrip()
        return text or "a finite number"

    def check(self, path: str, value: object, *, besides: str = "", hint: str = "") -> None:
        """Raise a `ConfigError` unless a value is in the range.

        Args:
            path: config path of the value.
            besides: other allowed values, which the caller has ruled out, such as `null`.
            hint: how to fix it.
        """
        if value not in self:
            allowed = f"{self} or {besides}" if besides else str(self)
            raise ConfigError(path, got=value, allowed=allowed, hint=hint)


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


SPACE = "free some disk space, or raise the limit, then type the same command again: what is finished is kept"
RIGHTS = "let this user read and write it, or work in a copy of the project"
PLACE = "move away what is in its place"
DESCRIPTORS = "raise the limit (ulimit -n), or lower trainer.num_workers"
OF_FULL: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), SPACE),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), DESCRIPTORS),
    errno.EROFS: RIGHTS,
}
OF_PATH: Final = {errno.EACCES: RIGHTS, errno.EPERM: RIGHTS, errno.ENOTDIR: PLACE, errno.EEXIST: PLACE}
OF_SQLITE: Final = {"FULL": SPACE, "IOERR": SPACE, "READONLY": RIGHTS, "CANTOPEN": RIGHTS}
# Libraries that write in C raise a RuntimeError with these texts.
OF_TEXT: Final = {
    "PytorchStreamWriter failed": SPACE,
    "No space left on device": SPACE,
    "Too many open files": DESCRIPTORS,
}

UNNAMED = "a file"
LONGEST_REASON = 200  # characters of a library's message


class StorageError(ConfigError):
    """A file cannot be opened or written: the disk is full, or rights or descriptors are missing."""

    @classmethod
    def behind(cls, reason: BaseException) -> StorageError | None:
        """Return the error of storage that led to an exception; None if there is none.

        Args:
            reason: the exception; of those that it was raised from, or while they were handled, the first one that
                names its file counts.
        """
        hints = OF_FULL | OF_PATH if isinstance(reason, OSError) else OF_FULL
        found: StorageError | None = None
        each: BaseException | None = reason
        while each is not None:
            error = cls._from(each, hints)
            if error is not None and (found is None or error.path != UNNAMED):
                found = error
            each = each.__cause__ or each.__context__
        return found

    @classmethod
    def _from(cls, reason: BaseException, hints: dict[int, str]) -> StorageError | None:
        if isinstance(reason, StorageError):
            return reason
        if isinstance(reason, OSError) and reason.errno in hints:
            return cls(reason.filename or UNNAMED, reason.strerror or "", hint=hints[reason.errno])
        kind = getattr(reason, "sqlite_errorname", "").removeprefix("SQLITE_").split("_")[0]
        if kind in OF_SQLITE:
            return cls("mlflow.db", str(reason), hint=OF_SQLITE[kind])
        if isinstance(reason, RuntimeError | OSError):  # shutil's OSError has a text only
            hint = next((hint for text, hint in OF_TEXT.items() if text in str(reason)), None)
            return cls(UNNAMED, " ".join(str(reason).split()), hint=hint) if hint else None
        return None


def explain(reason: Exception) -> str:
    """Return why something failed, in a few plain words if storage is behind it, else as the library says it."""
    storage = None if isinstance(reason, ConfigError) else StorageError.behind(reason)
    if storage is not None:
        return storage.problem if storage.path == UNNAMED else f"{storage.path}: {storage.problem}"
    text = " ".join(str(reason).split())[:LONGEST_REASON]
    return redact(text if isinstance(reason, ConfigError) else f"{type(reason).__name__}: {text}")


def first_line(reason: Exception) -> str:
    """Return the first line of what an exception of a library says, without its full stop, or its kind."""
    return next(iter(str(reason).splitlines()), "").rstrip(".") or type(reason).__name__


def warn_of_unwritable(cache: Path, reason: OSError) -> None:
    """Warn, once per process, that a cache cannot be written and is done without; re-raise errors of other kinds."""
    if reason.errno not in OF_FULL | OF_PATH:
        raise reason
    warn(f"{cache} cannot be written ({reason.strerror}); going on without it")


@cache
def warn(text: str) -> None:
    """Warn on stderr, once per process, about a valid setting that is probably unintended."""
    sys.stderr.write(f"warning: {redact(text)}\n")


def nearest(name: object, names: Iterable[str]) -> str:
    """Return a "did you mean" suggestion for the closest name; empty if none is close."""
    near = difflib.get_close_matches(str(name), sorted(set(names)), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? " if near else ""
