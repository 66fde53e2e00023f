"""Files that cannot be used: all of a data set are told in one error, rather than one in each attempt."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

from pipeline.errors import ConfigError

Item = TypeVar("Item")
Result = TypeVar("Result")

SHOWN = 4  # files that an error names beside the first
MOST = 1000  # errors after which the others are not looked for: a fact is wrong, not a file


def catching(work: Callable[[Item], Result]) -> Callable[[Item], Result | ConfigError]:
    """Return a function that returns a `ConfigError` instead of raising it, without its traceback."""

    def caught(item: Item) -> Result | ConfigError:
        try:
            return work(item)
        except ConfigError as error:
            error.__context__ = None  # frames of both tracebacks hold decoded images
            return error.with_traceback(None)

    return caught


def raise_together(results: Generator[Result | ConfigError]) -> Generator[Result]:
    """Yield results up to the first error; then go through the rest, and raise all errors as one.

    Raises:
        ConfigError: there were errors; it is the first of them, and its hint names the other files.
    """
    errors: list[ConfigError] = []
    with closing(results):
        for result in results:
            if isinstance(result, ConfigError):
                errors.append(result)
                if len(errors) == MOST:
                    break
            elif not errors:
                yield result
    if errors:
        raise _join(errors)


def _join(errors: list[ConfigError]) -> ConfigError:
    first, others = errors[0], [error.path for error in errors[1:]]
    if not others:
        return first
    count = f"{len(others):,}" if len(errors) < MOST else f"{len(others):,} or more"
    different = list(dict.fromkeys(others))
    names = ", ".join(different[:SHOWN]) + (", ..." if len(different) > SHOWN else "")
    hint = f"as are {count} other files: {names}; `python -m pipeline.inspect data=<name>` lists all of them"
    hint = f"{first.hint}; {hint}" if first.hint else hint
    return ConfigError(first.path, first.problem, got=first.got, allowed=first.allowed, hint=hint)
