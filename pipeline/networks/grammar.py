"""The grammar of the network language: a part is a name, or a mapping whose first key names it.

`relu`, `{leaky_relu: 0.01}`, `{conv: 64, kernel: 7, stride: 2}`: the first key is the part's name, its
value the main argument, further keys are options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.errors import ConfigError, closest
from pipeline.networks.plan import Pair, Shape, View

MISSING = inspect.Parameter.empty


@dataclass(frozen=True)
class Part:
    """A parsed part: name, main argument (`MISSING` if none was given) and options."""

    name: str
    argument: Any = MISSING
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.argument is MISSING:
            return self.name
        words = [f"{self.name}: {_short(self.argument)}"]
        words += [f"{key}: {_short(value)}" for key, value in self.options.items()]
        return "{" + ", ".join(words) + "}"


@dataclass(frozen=True)
class Scope:
    """What a layer knows besides its own options.

    Args:
        model: name of the network, for errors.
        where: place in the lists, e.g. `layers[3].skip[0]`.
        outputs: how many outputs the task asks for.
        norm, activation, init: the parts that the whole network uses unless a layer says otherwise.
    """

    model: str
    where: str
    outputs: int
    norm: Part
    activation: Part
    init: Part

    def at(self, where: str) -> Scope:
        """Return the same scope at another place."""
        return replace(self, where=where)

    def error(self, part: object, reason: str) -> ConfigError:
        """Return an error that names network, place and part."""
        return ConfigError(f"model {self.model}, {self.where} {part}: {reason}")


@dataclass(frozen=True)
class Flow:
    """What flows into a layer: its shape and what it sees of the image."""

    shape: Shape
    view: View


def parse(value: Any, *, where: str) -> Part:
    """Read one part of the YAML.

    Raises:
        ConfigError: the value is neither a name nor a mapping with a name as its first key.
    """
    if isinstance(value, Part):
        return value
    if isinstance(value, str):
        return Part(value)
    if isinstance(value, Mapping) and value:
        (name, argument), *options = value.items()
        if isinstance(name, str):
            return Part(name, argument, dict(options))
    raise ConfigError(
        f"{where}: a part is a name or a mapping such as {{conv: 64, kernel: 3}}, got {value!r}; "
        "write `none` for nothing"
    )


def call(function: Callable[..., Any], part: Part, scope: Scope, *leading: Any) -> Any:
    """Call the function of a part: its keyword-only parameters are the options of the language.

    Raises:
        ConfigError: an option the function does not have, or a main argument missing or too many.
    """
    parameters = inspect.signature(function).parameters
    options = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    for name in part.options:
        if name not in options:
            raise scope.error(
                part, f"{part.name} has no option '{name}'; {closest(name, {*options, 'repeat'})}"
            )
    main = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][len(leading) :]
    if part.argument is MISSING:
        if main and main[0].default is MISSING:
            raise scope.error(part, f"{part.name} needs a value; write {{{part.name}: ...}}")
        return function(*leading, **part.options)
    if not main:
        raise scope.error(part, f"{part.name} takes no value; write - {part.name}")
    return function(*leading, part.argument, **part.options)


def whole_number(scope: Scope, part: object, name: str, value: Any, *, least: int = 1) -> int:
    """Return a whole number of at least `least`, or refuse it by name."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise scope.error(part, f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def pair(scope: Scope, part: object, name: str, value: Any, *, least: int = 1) -> Pair:
    """Return (rows, columns) of a number or a list of two, or refuse it by name."""
    values = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(values) != 2:
        raise scope.error(part, f"{name} must be a number or [rows, columns], got {value!r}")
    rows, columns = (whole_number(scope, part, name, each, least=least) for each in values)
    return rows, columns


def _short(value: Any) -> str:
    return "[...]" if isinstance(value, list) else str(value)
