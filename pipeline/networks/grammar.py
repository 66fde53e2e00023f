"""The grammar of the network language: a part is a name, or a mapping whose first key names it.

`relu`, `{leaky_relu: 0.01}`, `{conv: 64, kernel: 7, stride: 2}`: the first key is the part's name, its
value the main argument (empty for the default), further keys are options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from math import ceil
from typing import Any

from pipeline.errors import UNSET, ConfigError
from pipeline.plans.network import Flow, Leaf, Spec, Terms
from pipeline.plans.view import Pair, Shape, View

INFINITY = float("inf")
MISSING = inspect.Parameter.empty
WRITTEN = {  # how each kind of part is written
    "layer": "a name or a mapping such as {conv: 64, kernel: 3}",
    "norm": "none, a name or a mapping such as {group: 8}",
    "activation": "none, a name or a mapping such as {leaky_relu: 0.01}",
    "init": "default, a name or a mapping such as {normal: 0.01}",
}


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


NONE = Part("none")  # compared by identity to mean that no part is being parsed


@dataclass(frozen=True)
class PlanContext:
    """The context in which a part is planned: the part, its place and input, and the settings of the whole network.

    Args:
        model: name of the network, for errors.
        where: place in the model, e.g. `layers[3].skip[0]`.
        outputs: number of outputs that the task needs.
        norm, activation, init: the network's defaults, which a layer can override.
        padding: default padding of filters: `same`, `valid` or pixels.
        width, depth: factors on filters and features, and on written repeats.
        zero_last_norm: whether the last norm of a residual list is initialised to zero.
        flow: the input of the part.
        part: the part being planned; `NONE` itself if there is none.
        planned: counts the layers of the network.
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
    planned: Iterator[int] = field(default_factory=count)

    def at(self, where: str, part: Part | None = None, flow: Flow | None = None) -> PlanContext:
        """Return the context of another place in the same network."""
        return replace(self, where=where, part=part or self.part, flow=flow or self.flow)

    def error(
        self, problem: str, got: Any = UNSET, hint: str = "", allowed: Collection[str] = ""
    ) -> ConfigError:
        """Return an error that names place, part and network; see `ConfigError` for its fields."""
        part = "" if self.part is NONE else f"{self.part} of "
        problem = f"in {part}model {self.model}, {problem}"
        return ConfigError(f"model.{self.where}", problem, got=got, allowed=allowed, hint=hint)

    def invalid(self, name: str, allowed: str, got: Any, hint: str = "") -> ConfigError:
        """Return the error for an invalid option or input of the part."""
        return self.error(f"{name} must be {allowed}", got, hint, allowed)

    def unknown(self, what: str, got: Any, names: Iterable[str]) -> ConfigError:
        """Return the error for an unknown name, which suggests the closest allowed one."""
        error = ConfigError.unknown(f"model.{self.where}", got, names, what=what)
        return self.error(error.problem, got, error.hint, error.allowed)

    def parse(self, kind: str, value: Any, default: Part | None = None) -> Part:
        """Read a part from YAML, or return the default if there is no value.

        Args:
            kind: key of `WRITTEN`.

        Raises:
            ConfigError: the value is neither a name nor a mapping with a name as its first key.
        """
        value = default if value is None else value
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            return Part(value)
        if isinstance(value, Mapping) and value:
            (name, argument), *options = value.items()
            if isinstance(name, str):
                return Part(name, MISSING if argument is None else argument, dict(options))
        raise self.invalid(kind, WRITTEN[kind], value)

    def map(self) -> tuple[int, int, int]:
        """Return (C, H, W) of the input; raise if it is a vector."""
        if len(self.flow.shape) != 3:
            name, hint = f"the input of {self.part.name}", "put it before flatten"
            raise self.invalid(name, "a map (C, H, W)", self.flow.shape, hint)
        channels, rows, columns = self.flow.shape
        return channels, rows, columns

    def width_of(self, value: Any, width: Any = None) -> int:
        """Return a number of filters or features: `outputs`, or a number times the network's width.

        A width other than 1 rounds to a multiple of 8, and down by a tenth at most (Sandler et al. 2018,
        arXiv:1801.04381, the authors' code).
        """
        if value == "outputs":
            if width is not None:
                raise self.error("width cannot scale outputs, which the task sets", width, "remove width")
            return self.outputs
        count = self.whole(self.part.name, value, besides="outputs or ")
        factor = max(1.0, self.width) if width == "at_least_1" else width
        factor = self.width if factor is None else self.number("width", factor, low=0, is_open=True)
        if factor == 1:
            return count
        rounded = max(8, int(count * factor + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * count * factor else rounded + 8

    def repeats(self) -> int:
        """Return how often the part is repeated: its `repeat` times the network's depth, rounded up."""
        repeat = self.part.options.get("repeat")
        return 1 if repeat is None else ceil(self.whole("repeat", repeat) * self.depth)

    def whole(self, name: str, value: Any, *, least: int = 1, besides: str = "") -> int:
        """Return the value if it is an integer of at least `least`; otherwise raise.

        Args:
            besides: other allowed values, as text for the error message.
        """
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.invalid(name, f"{besides}a whole number of at least {least}", value)
        return value

    def pair(self, name: str, value: Any, *, least: int = 1, besides: str = "") -> Pair:
        """Return (rows, columns) from an integer or a list of two; otherwise raise, see `whole`."""
        values = list(value) if isinstance(value, list | tuple) else [value, value]
        if len(values) != 2:
            raise self.invalid(name, "a whole number or [rows, columns]", value)
        rows, columns = (self.whole(name, each, least=least, besides=besides) for each in values)
        return rows, columns

    def number(
        self, name: str, value: Any, *, low: float = -INFINITY, high: float = INFINITY, is_open: bool = False
    ) -> float:
        """Return the value if it is in [low, high), or in (low, high) if `is_open`; otherwise raise."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not -INFINITY < value < high or value < low or (is_open and value == low):
            span = f"a number in {'(' if is_open else '['}{low:g}, {high:g})"
            raise self.invalid(name, "a finite number" if low == -INFINITY else span, value)
        return float(value)

    def choice(self, name: str, value: Any, allowed: Any) -> Any:
        """Return the value if it is one of the allowed names; otherwise raise."""
        if not isinstance(value, str) or value not in allowed:
            raise self.unknown(name, value, allowed)
        return value

    def flag(self, name: str, value: Any) -> bool:
        """Return the value if it is a boolean; otherwise raise."""
        if not isinstance(value, bool):
            raise self.invalid(name, "true or false", value)
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
        """Return a layer at this place; without a view, its receptive field is that of its input."""
        view = view or self.flow.view
        return Leaf(name, self.where, self.flow, shape, view, specs, window, products)


def call(function: Callable[..., Any], context: PlanContext, *leading: Any) -> Any:
    """Call the function of a part; its keyword-only parameters are the options of the language.

    Raises:
        ConfigError: an option is unknown, or the main argument is missing or not accepted.
    """
    part = context.part
    parameters = inspect.signature(function).parameters.values()
    options = {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    is_closed = not any(each.kind is each.VAR_KEYWORD for each in parameters)
    given = {name: value for name, value in part.options.items() if name != "repeat"}
    for name in given:
        if is_closed and not options:
            raise context.error(f"{part.name} takes no options", name, "remove it")
        if is_closed and name not in options:
            raise context.unknown("option", name, {*options, "repeat"})
    main = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][1 + len(leading) :]
    if part.argument is MISSING:
        if main and main[0].default is MISSING:
            name = main[0].name
            raise context.error(f"{part.name} is missing its {name}", hint=f"write {{{part.name}: <{name}>}}")
        return function(context, *leading, **given)
    if not main:
        raise context.error(f"{part.name} takes no value", part.argument, f"write {part.name}")
    return function(context, *leading, part.argument, **given)


def _short(value: Any) -> str:
    return "[...]" if isinstance(value, list) else str(value)
