"""Explanations of mistakes in overrides and YAML files, for which the libraries only have technical terms."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import yaml
from hydra.errors import OverrideParseException

from pipeline.errors import ConfigError
from pipeline.files import Loader

LEXER = "LexerNoViableAltException: "  # how Hydra begins the message for a character that it cannot read
MORE = "See https://hydra.cc"  # how it ends all messages
DEEPEST = 30  # levels of lists and mappings, which no declaration reaches


def explain_override(reason: OverrideParseException) -> ConfigError:
    """Return the error for an override that Hydra cannot parse."""
    override = reason.override
    key, equals, value = override.partition("=")
    if not equals:
        return ConfigError(
            "overrides", "is not of the form key=value", got=override, hint="add = and the value"
        )
    text = str(reason.message).partition(MORE)[0].rstrip()
    if not text.startswith(LEXER):
        problem = _short(text.removeprefix(f"Error parsing override '{override}'"), longest=200)
        return ConfigError(
            key, f"its value cannot be read ({problem})", got=_short(value), hint=_quoted(key, value)
        )
    place = len(text.splitlines()[-1]) - 1 - len(LEXER)  # Hydra marks the character by ^ in a line of its own
    character = override[place : place + 1]
    if place < len(key):
        hint = "a key is made of names and dots, such as optimizer.lr or augmentation.steps.0.p"
        return ConfigError(key, f"{character!r} cannot be part of a key", got=_short(override), hint=hint)
    if character in "'\"":
        return ConfigError(
            key, "has a quote that is not closed", got=_short(value), hint="add the other quote"
        )
    return ConfigError(
        key,
        f"{character!r} must be within quotes on the command line",
        got=_short(value),
        hint=_quoted(key, value),
    )


def explain_depth(reason: RecursionError, conf: Path) -> ConfigError | None:
    """Return the error for values that are nested too deep; None for recursion in other code."""
    frames = traceback.extract_tb(reason.__traceback__)
    places = {part for frame in frames for part in (*Path(frame.filename).parts, frame.name)}
    if places & {"override_parser", "_apply_overrides_to_config"}:
        return ConfigError("overrides", "a value is nested too deep", hint="write it with fewer levels")
    if not places & {"yaml", "omegaconf"}:
        return None
    for file in sorted(conf.rglob("*.yaml")):
        depth = _depth(file)
        if depth > DEEPEST:
            return ConfigError(str(file), "is nested too deep", got=depth, hint="write it with fewer levels")
    return ConfigError("conf", "a value is nested too deep", hint="write it with fewer levels")


def _quoted(key: str, value: str) -> str:
    """Return a hint that quotes a value for Hydra, and the whole for the shell."""
    text = _short(value).replace('"', "").replace("'", "")
    return f"""if it is text, write '{key}="{text}"' with both kinds of quotes"""


def _short(value: str, longest: int = 60) -> str:
    """Return text in one line, cut off after some characters."""
    value = " ".join(value.split())
    return value if len(value) <= longest else f"{value[:longest]}..."


def _depth(file: Path) -> int:
    """Return how deep a YAML file is nested."""
    depth = deepest = 0
    for event in _events(file):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


def _events(file: Path) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(file.read_text(encoding="utf-8"), Loader=Loader)
    except (yaml.YAMLError, UnicodeDecodeError):  # another file, which composition has not read
        return
