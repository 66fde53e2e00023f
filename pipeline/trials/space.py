"""Parse and check the space of a search, given in Hydra's sweep syntax; format values as Hydra overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from hydra.errors import HydraException

from pipeline.declaration.checks import check, check_values
from pipeline.declaration.composition import CONF, compose_sections
from pipeline.declaration.declaration import SECTIONS
from pipeline.declaration.digests import digest
from pipeline.declaration.keys import SECTIONS as OF_TRAINING
from pipeline.declaration.keys import training_code
from pipeline.declaration.settings import NOT_DECIDING
from pipeline.errors import ConfigError, first_line
from pipeline.sweeps.dimensions import Choice, Dimension, Entry, Interval, check_choice, check_interval

DECIDING = (*OF_TRAINING, "data", "trainer")
MOST_VALUES = 10_000  # of a range
FROM_CHECK, MEASURED_KEY = "from check", "optimizer.lr"
ALL_RATES = (1e-6, 10.0)  # of the range test, as long as it has not been made
BRINGING_CODE = ("model.", "augmentation.")


def has_measured(space: Mapping[str, Any]) -> bool:
    """Return whether a space leaves the learning rate to the range test."""
    return space.get(MEASURED_KEY) == FROM_CHECK


def parse_space(space: Mapping[str, Any], *, rates: tuple[float, float] = ALL_RATES) -> list[Entry]:
    """Parse a space: key -> its values in Hydra's sweep syntax.

    Args:
        rates: the lowest and the highest learning rate, where it is left to the range test.

    Raises:
        ConfigError: an entry cannot be parsed, or allows only a single value.
    """
    if not space:
        raise ConfigError(
            "search.space",
            "is empty, so there is nothing to search",
            hint="choose search=coarse, or add keys",
        )
    draws: dict[str, Any] = {}
    if has_measured(space):
        space = {**space, MEASURED_KEY: f"tag(log, interval({float(rates[0])}, {float(rates[1])}))"}
    for key, value in space.items():
        if isinstance(value, Mapping) and set(value) != {"draw", "when"}:
            raise ConfigError(f"search.space.{key}", got=sorted(value), allowed="a mapping of draw and when")
        draws[key] = value["draw"] if isinstance(value, Mapping) else value
    dimensions = {
        key: _dimension(key, _parsed(f"{key}={draw}", key).value(), draw) for key, draw in draws.items()
    }
    conditions = {
        key: _condition(key, str(value["when"]), draws, dimensions) if isinstance(value, Mapping) else None
        for key, value in space.items()
    }
    _check_circles(conditions)
    return [Entry(key, dimensions[key], conditions[key]) for key in space]


def _check_circles(conditions: Mapping[str, tuple[str, Any] | None]) -> None:
    """Check that no conditions form a cycle."""
    for key in conditions:
        chain, when = [key], conditions[key]
        while when is not None:
            if when[0] in chain:
                raise ConfigError(
                    f"search.space.{key}.when",
                    f"{' and '.join(chain)} depend on each other",
                    hint="remove one of the conditions",
                )
            chain.append(when[0])
            when = conditions[when[0]]


def _condition(
    key: str, text: str, draws: Mapping[str, Any], dimensions: Mapping[str, Dimension]
) -> tuple[str, Any]:
    """Parse a condition `<other key>=<value>`."""
    other, equals, _ = text.partition("=")
    if not equals or other == key:
        raise ConfigError(f"search.space.{key}.when", got=text, allowed="<other key>=<value>")
    if other not in dimensions:
        raise ConfigError.unknown(f"search.space.{key}.when", other, dimensions, what="key")
    value, dimension = _parsed(text, key).value(), dimensions[other]
    if not isinstance(dimension, Choice) or value not in dimension.values:
        raise ConfigError(
            f"search.space.{key}.when",
            f"{other} is never {value!r}, since it is {draws[other]}",
            got=text,
            hint="name a value of a choice",
        )
    return other, value


def check_keys(entries: Sequence[Entry], sections: Mapping[str, Any]) -> None:
    """Check that keys exist in the declaration (conditional ones need not) and affect the result."""
    for entry in entries:
        section = re.split("[@./]", entry.key)[0]
        if section not in (*SECTIONS, "experiment"):
            raise ConfigError.unknown(f"search.space.{entry.key}", section, sections, what="key")
        is_idle = section in SECTIONS and section not in DECIDING
        if is_idle or entry.key in [f"trainer.{key}" for key in NOT_DECIDING]:
            raise ConfigError(
                f"search.space.{entry.key}",
                "does not change the result of a training, so there is nothing to choose",
                hint="set it for all trials",
            )
        if is_group(entry.key) or entry.when is not None:
            continue
        node: Any = sections
        for part in entry.key.split("."):
            inner = list(map(str, range(len(node)))) if isinstance(node, list) else list(node or ())
            if part not in inner:
                raise ConfigError.unknown(f"search.space.{entry.key}", part, inner, what="key")
            node = node[int(part)] if isinstance(node, list) else node[part]
            if not isinstance(node, Mapping | list):
                node = {}


def check_values_of(entries: Sequence[Entry], overrides: Sequence[str]) -> None:
    """Check that the values of a space are in the ranges of their keys: the bounds of intervals, and all choices.

    Whether a value fits the others of its point is left to the trial.

    Args:
        overrides: of the declaration that the space belongs to.

    Raises:
        ConfigError: a value is out of range.
    """
    for entry in entries:
        for value in _extremes(entry.dimension):
            chosen = f"{entry.key}={written(value)}"
            try:
                check_values(compose_sections([*overrides, *_conditions(entry, entries), chosen]))
            except ConfigError as reason:
                if reason.path == entry.key or reason.path.startswith(f"{entry.key}["):
                    raise ConfigError(
                        f"search.space.{entry.key}",
                        f"contains {written(value)}, and {reason}",
                        hint="leave that value out",
                    ) from None


def _extremes(dimension: Dimension) -> Sequence[Any]:
    """Return the bounds of an interval or range, or all values of a choice."""
    if isinstance(dimension, Interval):
        return dimension.low, dimension.high
    return (dimension.values[0], dimension.values[-1]) if dimension.is_ordered else dimension.values


def is_group(key: str) -> bool:
    """Return whether a key is a config group of conf/, such as `model` or `model@model.encoder`."""
    return (CONF / key.partition("@")[0]).is_dir()


def digest_options(entries: Sequence[Entry], overrides: Sequence[str], *, root: Path) -> dict[str, str]:
    """Return each option that a space can pick, and the digest of the declaration that it makes and of its code.

    Options are the files of conf/ that it names, and choices that may bring in other layers, steps or classes.

    Raises:
        ConfigError: there is no such option.
    """
    found = {}
    for entry in entries:
        brings_code = is_group(entry.key) or entry.key.startswith(BRINGING_CODE)
        if brings_code and isinstance(entry.dimension, Choice):
            for value in entry.dimension.values:
                chosen = f"{entry.key}={written(value)}"
                sections = compose_sections([*overrides, *_conditions(entry, entries), chosen])
                decides = {key: sections[key] for key in DECIDING}
                found[chosen] = digest([decides, _code_of(sections, root=root)])
    return found


def _code_of(sections: Mapping[str, Any], *, root: Path) -> dict[str, Any] | None:
    """Return the code that trains an option; None where it only works together with others of the space."""
    try:
        return training_code(check(sections), root=root)
    except ConfigError:
        return None


def _conditions(entry: Entry, entries: Sequence[Entry]) -> list[str]:
    """Return the overrides under which an entry is active."""
    if entry.when is None:
        return []
    other, value = entry.when
    (before,) = (each for each in entries if each.key == other)
    return [*_conditions(before, entries), f"{other}={written(value)}"]


def written(value: Any) -> str:
    """Format a value in the syntax of Hydra overrides."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{written(each)}" for key, each in value.items()) + "}"
    if not isinstance(value, str):
        return str(value)
    if re.fullmatch(r"[A-Za-z][\w./-]*", value) and _parsed(f"key={value}", "key").value() == value:
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _parsed(override: str, key: str) -> Any:
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as reason:
        raise ConfigError(
            f"search.space.{key}", first_line(reason), hint="write choice(a, b) or interval(0.1, 1)"
        ) from None


def range_values(path: str, sweep: RangeSweep) -> tuple[Any, ...]:
    """Return the numbers of a range.

    Raises:
        ConfigError: there are too many to list.
    """
    step = sweep.step or 0
    values = tuple(islice(sweep.range(), MOST_VALUES + 1)) if step else ()
    if not step or len(values) > MOST_VALUES:
        raise ConfigError(
            path,
            got=f"range({sweep.start}, {sweep.stop}, {step})",
            allowed=f"a range of at most {MOST_VALUES} values, with a step other than 0",
            hint="choose a larger step, or an interval, such as int(interval(1, 1000000))",
        )
    return values


def _dimension(key: str, value: Any, draw: Any) -> Dimension:
    tags: set[str] = getattr(value, "tags", set())
    if tags and (not isinstance(value, IntervalSweep) or tags != {"log"}):
        raise ConfigError(
            f"search.space.{key}", "the only tag is log, of an interval", got=draw, hint="remove other tags"
        )
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        is_integer = isinstance(value.start, int)
        return check_interval(key, Interval(value.start, value.end, "log" in tags, is_integer))
    if isinstance(value, ChoiceSweep):
        return check_choice(key, Choice(tuple(value.list)))
    if isinstance(value, RangeSweep):
        return check_choice(key, Choice(range_values(f"search.space.{key}", value), is_ordered=True))
    raise ConfigError(
        f"search.space.{key}",
        "is a single value",
        got=draw,
        hint=f"only {MEASURED_KEY} can be taken {FROM_CHECK}"
        if draw == FROM_CHECK
        else "write choice(a, b), interval(0.1, 1), range(1, 9, 2) or tag(log, interval(1.0e-4, 0.1))",
    )
