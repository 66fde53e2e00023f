"""Plain values as YAML text and back, by libyaml where PyYAML was built with it: several times as fast."""

from __future__ import annotations

from typing import Any

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_yaml(text: str) -> Any:
    """Return the values that a text holds.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=Loader)


def yaml_text(values: Any, *, width: int = 80) -> str:
    """Return values as text, keys in their order.

    Args:
        width: where long texts are wrapped, in characters.
    """
    text: str = yaml.dump(values, Dumper=Dumper, sort_keys=False, width=width)
    return text
