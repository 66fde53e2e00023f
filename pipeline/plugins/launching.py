"""What the sweepers of this project share: jobs are trained in this process, or by a launcher of Hydra."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from pipeline.declaration import grants
from pipeline.declaration.composition import compose
from pipeline.errors import ConfigError, StorageError
from pipeline.runs.context import RunContext
from pipeline.trials.search import Died, Launch, Outcome
from pipeline.trials.space import written


class LaunchingSweeper(Sweeper):
    """A sweeper that trains jobs with the configured launcher."""

    def __init__(self) -> None:
        self._launcher: Launcher | None = None
        self._launched = 0
        self._folder = Path()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Instantiate the configured launcher."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # disable Ray's telemetry
        self._folder = Path.cwd() / config.hydra.sweep.dir
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    @property
    def _launch(self) -> Launch | None:
        """The launch of jobs; None where the launcher runs them in this process, which takes less time without it."""
        return None if isinstance(self._launcher, BasicLauncher) else self._launch_jobs

    def _launch_jobs(self, jobs: Sequence[Sequence[str]]) -> list[Outcome]:
        """Train jobs with the launcher, passing the context through overrides that set environment variables."""
        assert self._launcher is not None
        variables = RunContext.from_environment(Path.cwd()).variables() | grants.variables()
        outcomes = [_refusal(job) for job in jobs]  # otherwise an invalid job would crash its worker
        jobs = [job for job, refusal in zip(jobs, outcomes, strict=True) if refusal is None]
        env = [f"+hydra.job.env_set.{name}={written(value)}" for name, value in variables.items()]
        try:
            returns = self._launcher.launch([[*job, *env] for job in jobs], initial_job_idx=self._launched)
        except Exception as reason:  # each launcher raises its own exception if a worker dies
            if (storage := StorageError.behind(reason)) is not None:
                raise storage from reason
            raise Died(f"{type(reason).__name__}: {reason}") from reason
        self._launched += len(jobs)
        trained = map(_outcome, returns)
        return [next(trained) if refusal is None else refusal for refusal in outcomes]


def _refusal(job: Sequence[str]) -> Outcome | None:
    """Return the outcome of a job whose declaration is invalid; None if it is valid."""
    try:
        compose(job)
    except ConfigError as reason:
        return Outcome.of_failure(reason)
    return None


def _outcome(done: JobReturn) -> Outcome:
    if done.status != JobStatus.COMPLETED:
        return Outcome.of_failure(done._return_value)  # the property would re-raise the exception
    assert isinstance(done.return_value, Outcome)
    return done.return_value
