"""Hydra sweeper of a search: starts it from the command line, and lets Hydra's launchers train its trials."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.plugins.launching import LaunchingSweeper
from pipeline.trials.declared import load_search
from pipeline.trials.results import format_plan
from pipeline.trials.runner import run_search


class SearchSweeper(LaunchingSweeper):
    """Run a search, which is stored in `runs/searches/`."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run the search of a command line, or print its plan."""
        root = Path.cwd()
        search = load_search(arguments, root=root)
        if search.is_plan:
            sys.stdout.write(format_plan(search, root=root))
            return None
        if search.settings.parallel == 1 and self._launch is not None:
            raise ConfigError(
                "search.parallel",
                f"{type(self._launcher).__name__} runs trials side by side",
                got=1,
                hint="say how many, such as search.parallel=4",
            )
        return run_search(search, root=root, entry_point="sweep", launch=self._launch)
