"""Which packages of the user's own a declaration may name classes of: those that the owner of the machine has granted.

Anybody may have written a declaration, so its `allowed_targets` is a request. It is granted by the environment variable
`CONVOY_ALLOWED_TARGETS`, or by typing `allowed_targets` on the command line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files import YAMLError, read_yaml

VARIABLE = "CONVOY_ALLOWED_TARGETS"  # comma-separated prefixes, such as mylab.,yourlab.


def is_prefix(value: Any) -> bool:
    """Return whether a value is the prefix of a package's names, such as `mylab.`."""
    return isinstance(value, str) and re.fullmatch(r"([^\W\d]\w*\.)+", value) is not None


def grant_typed(overrides: Sequence[str]) -> None:
    """Grant the prefixes that the user has typed, to this process and to those that it starts."""
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+") != "allowed_targets":
            continue
        try:
            typed = read_yaml(value)
        except YAMLError:
            typed = None
        granted = [*_granted(), *filter(is_prefix, typed if isinstance(typed, list) else ())]
        os.environ[VARIABLE] = ",".join(dict.fromkeys(granted))


def variables() -> dict[str, str]:
    """Return the environment variable from which another process takes the grants of this one."""
    return {VARIABLE: os.environ[VARIABLE]} if _granted() else {}


def check_granted(prefixes: Sequence[str]) -> None:
    """Raise if a declaration asks for the classes of a package that the owner of the machine has not granted."""
    for prefix in prefixes:
        if not prefix.startswith(tuple(_granted())):
            raise ConfigError(
                "allowed_targets",
                f"this declaration builds classes of {prefix.rstrip('.')}, which runs the code of that package",
                got=prefix,
                hint=f"if you trust both, export {VARIABLE}={prefix} or type allowed_targets=[{prefix}]",
            )


def _granted() -> list[str]:
    return [each for each in os.environ.get(VARIABLE, "").split(",") if is_prefix(each)]
