"""The settings of tracking, as the `tracking` section of the config states them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackingSettings:
    """What to log, and under which name.

    Args:
        experiment: name of the MLflow experiment; runs are compared within it.
        log_model: whether to log the model of the best epoch (some MB and seconds per run).
    """

    experiment: str
    log_model: bool
