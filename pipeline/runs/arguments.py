"""The command line of a stage: a fixed row of paths."""

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
        raise ConfigError(f"usage: python -m pipeline.{stage} {' '.join(names)}; got {len(given)} arguments")
    return [Path(each) for each in given]
