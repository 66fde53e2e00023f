"""The command line of a stage: a fixed number of paths."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.errors import ConfigError


def stage_paths(stage: str, *names: str) -> list[Path]:
    """Return the paths given to `python -m pipeline.<stage>`.

    Args:
        names: what each path is, for the usage line.

    Raises:
        ConfigError: more or fewer paths than names.
    """
    given = sys.argv[1:]
    if len(given) != len(names):
        command = f"python -m pipeline.{stage}"
        raise ConfigError(
            command,
            f"expected {len(names)} paths",
            got=len(given),
            hint=f"usage: {command} {' '.join(names)}",
        )
    return [Path(each) for each in given]
