"""Hydra sweeper of a search: trains what `pipeline.search` draws, by Hydra's launcher."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from pipeline.errors import ConfigError
from pipeline.findings import best_of, plan_of, write_results
from pipeline.search import Outcome, search_of


class SearchSweeper(Sweeper):
    """Run a search; what it keeps lies in `runs/searches/`."""

    def __init__(self) -> None:
        self._launcher: Launcher | None = None
        self._launched = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take Hydra's launcher."""
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the search of a command line, or print its plan."""
        search = search_of(arguments, root=Path.cwd())
        for note in search.notes:
            sys.stderr.write(f"search: {note}\n")
        if search.settings.plan:
            sys.stdout.write(plan_of(search, root=Path.cwd()))
            return None
        trials = search.run(self._launch)
        folder = write_results(search, trials)
        sys.stdout.write(best_of(search, trials))
        sys.stdout.write((folder / "remarks.txt").read_text(encoding="utf-8"))
        return trials

    def _launch(self, jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        assert self._launcher is not None
        returns = self._launcher.launch(jobs, initial_job_idx=self._launched)
        self._launched += len(jobs)
        return [_outcome(each) for each in returns]


def _outcome(done: JobReturn) -> Outcome:
    if done.status == JobStatus.COMPLETED:
        return Outcome(float(done.return_value))
    reason = done._return_value  # what the job raised; the property would raise it again
    text = " ".join(str(reason).split())
    return Outcome(None, text if isinstance(reason, ConfigError) else f"{type(reason).__name__}: {text}")
