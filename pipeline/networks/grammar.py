"""The grammar of the network language: a part is a name, or a mapping whose first key names it.

`relu`, `{leaky_relu: 0.01}`, `{conv: 64, kernel: 7, stride: 2}`: the first key is the part's name, its
value the main argument (empty for the default), further keys are options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from pipeline.errors import ConfigError, closest
from pipeline.plans.network import Flow, Leaf, Pair, Shape, Spec, Terms, View

INFINITY = float("inf")
MISSING = inspect.Parameter.empty


@dataclass(frozen=True)
class Part:
    """A parsed part: name, main argument (`MISSING` if none was given) and options."""

    name: str
    argument: Any = MISSING
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.argument is MISSING and not self.options:
            return self.name
        words = [f"{self.name}: {'' if self.argument is MISSING else _short(self.argument)}".strip()]
        words += [f"{key}: {_short(value)}" for key, value in self.options.items()]
        return "{" + ", ".join(words) + "}"


NONE = Part("none")


@dataclass(frozen=True)
class Here:
    """Where the planner stands: the part it reads, what flows in, and what the whole network says.

    Args:
        model: name of the network, for errors.
        where: place in the lists, e.g. `layers[3].skip[0]`.
        outputs: how many outputs the task asks for.
        norm, activation, init: the parts that the whole network uses unless a layer says otherwise.
        padding: of filters that do not say theirs: `same`, `valid` or pixels.
        width, depth: factors on filters and features, and on written repeats.
        zero_last_norm: whether the last norm of a residual list starts at zero.
    """

    model: str
    where: str
    outputs: int
    norm: Part
    activation: Part
    init: Part
    padding: Any
    width: float
    depth: float
    zero_last_norm: bool
    flow: Flow
    part: Part = NONE

    def at(self, where: str, part: Part | None = None, flow: Flow | None = None) -> Here:
        """Return the same network's rules at another place."""
        return replace(self, where=where, part=part or self.part, flow=flow or self.flow)

    def error(self, reason: str) -> ConfigError:
        """Return an error that names network, place and part."""
        return ConfigError(f"model {self.model}, {self.where} {self.part}: {reason}")

    def parse(self, value: Any, default: Part) -> Part:
        """Read a part that stands in an option, or take the default."""
        return default if value is None else parse(value, where=f"model {self.model}, {self.where}")

    def map(self) -> tuple[int, int, int]:
        """Return (C, H, W) of what flows in, or refuse a vector."""
        if len(self.flow.shape) != 3:
            (features,) = self.flow.shape
            reason = f"{self.part.name} needs a map (C, H, W), got a vector of {features}"
            raise self.error(f"{reason}; move it before `flatten`")
        channels, rows, columns = self.flow.shape
        return channels, rows, columns

    def width_of(self, value: Any, width: Any = None) -> int:
        """Return filters or features: `outputs`, or a number times the network's width.

        A width other than 1 rounds to a multiple of 8, never by more than a tenth downwards (Sandler et
        al. 2018, arXiv:1801.04381, the authors' code).
        """
        if value == "outputs":
            if width is not None:
                raise self.error("width has no say in outputs, which the task asks for; remove it")
            return self.outputs
        count = self.whole(f"{self.part.name} (or the word `outputs`)", value)
        factor = max(1.0, self.width) if width == "at_least_1" else width
        factor = self.width if factor is None else self.number("width", factor, low=0, is_open=True)
        if factor == 1:
            return count
        rounded = max(8, int(count * factor + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * count * factor else rounded + 8

    def repeats(self) -> int:
        """Return how often the part stands in its list: its `repeat` times the network's depth."""
        repeat = self.part.options.get("repeat")
        return 1 if repeat is None else ceil(self.whole("repeat", repeat) * self.depth)

    def whole(self, name: str, value: Any, *, least: int = 1) -> int:
        """Return a whole number of at least `least`, or refuse it by name."""
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(f"{name} must be a whole number of at least {least}, got {value!r}")
        return value

    def pair(self, name: str, value: Any, *, least: int = 1) -> Pair:
        """Return (rows, columns) of a number or a list of two, or refuse it by name."""
        values = list(value) if isinstance(value, list | tuple) else [value, value]
        if len(values) != 2:
            raise self.error(f"{name} must be a number or [rows, columns], got {value!r}")
        rows, columns = (self.whole(name, each, least=least) for each in values)
        return rows, columns

    def number(
        self, name: str, value: Any, *, low: float = -INFINITY, high: float = INFINITY, is_open: bool = False
    ) -> float:
        """Return a number in [low, high), or in (low, high) where the range is open; else refuse it."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not -INFINITY < value < high or value < low or (is_open and value == low):
            span = "" if low == -INFINITY else f" in {'(' if is_open else '['}{low:g}, {high:g})"
            raise self.error(f"{name} must be a number{span}, got {value!r}")
        return float(value)

    def choice(self, name: str, value: Any, allowed: Any) -> Any:
        """Return one of the allowed names, or refuse it with the closest right one."""
        if not isinstance(value, str) or value not in allowed:
            raise self.error(f"unknown {name} '{value}'; {closest(value, allowed)}")
        return value

    def flag(self, name: str, value: Any) -> bool:
        """Return a boolean, or refuse anything else by name."""
        if not isinstance(value, bool):
            raise self.error(f"{name} must be true or false, got {value!r}")
        return value

    def leaf(
        self,
        name: str,
        shape: Shape,
        *specs: Spec,
        view: View | None = None,
        window: tuple[Pair, Pair, Pair] | None = None,
        products: Terms = (),
    ) -> Leaf:
        """Return a layer at this place; it sees what its input sees unless a view is given."""
        view = view or self.flow.view
        return Leaf(name, self.where, self.flow, shape, view, specs, window, products)


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
            return Part(name, MISSING if argument is None else argument, dict(options))
    raise ConfigError(
        f"{where}: a part is a name or a mapping such as {{conv: 64, kernel: 3}}, got {value!r}; "
        "write `none` for nothing"
    )


def call(function: Callable[..., Any], here: Here, *leading: Any) -> Any:
    """Call the function of a part: its keyword-only parameters are the options of the language.

    Raises:
        ConfigError: an option the function does not have, or a main argument missing or too many.
    """
    part = here.part
    parameters = inspect.signature(function).parameters.values()
    options = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    is_closed = not any(each.kind is each.VAR_KEYWORD for each in parameters)
    given = {name: value for name, value in part.options.items() if name != "repeat"}
    for name in given:
        if is_closed and name not in options:
            allowed = closest(name, {*options, "repeat"}) if options else "remove it"
            raise here.error(f"{part.name} has no option '{name}'; {allowed}")
    main = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][1 + len(leading) :]
    if part.argument is MISSING:
        if main and main[0].default is MISSING:
            raise here.error(f"{part.name} needs a value, its {main[0].name}; write {{{part.name}: ...}}")
        return function(here, *leading, **given)
    if not main:
        raise here.error(f"{part.name} takes no value; write {part.name}")
    return function(here, *leading, part.argument, **given)


def _short(value: Any) -> str:
    return "[...]" if isinstance(value, list) else str(value)
