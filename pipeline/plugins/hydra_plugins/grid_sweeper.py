"""Hydra sweeper of a grid: every combination of the values on a command line, checked before the first one starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep

from pipeline.errors import ConfigError
from pipeline.plugins.launching import LaunchingSweeper
from pipeline.trials.grid import load_grid, run_grid
from pipeline.trials.space import range_values

MOST_JOBS = 10_000  # of one sweep


class GridSweeper(LaunchingSweeper):
    """Run a sweep, whose comparison is written to its folder."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep of a command line."""
        swept = [
            each.get_key_element().lstrip("+") for each in _parsed(arguments) if each.is_sweep_override()
        ]
        grid = load_grid(list_jobs(arguments), arguments, swept, root=Path.cwd(), folder=self._folder)
        run_grid(grid, launch=self._launch)


def list_jobs(overrides: list[str]) -> list[list[str]]:
    """Return the overrides of each job of a grid, as expanded by Hydra's basic sweeper.

    Raises:
        ConfigError: there are too many to list.
    """
    parsed = _parsed(overrides)
    count = 1
    for each in parsed:
        values = each.value()
        if isinstance(values, RangeSweep):
            count *= len(range_values(each.get_key_element().lstrip("+"), values))
        elif isinstance(values, ChoiceSweep):
            count *= len(values.list)
    if count > MOST_JOBS:
        raise ConfigError(
            "overrides", f"they make {count:,} jobs, more than {MOST_JOBS:,}", hint="sweep fewer values"
        )
    batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    return [list(job) for batch in batches for job in batch]


def _parsed(overrides: list[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(overrides)
