"""What a training in a search is judged by, while it runs and at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, closest
from pipeline.sweeps.ledger import Ledger
from pipeline.sweeps.pruners import Peer, Pruner, pruner_of
from pipeline.sweeps.settings import SearchSettings
from pipeline.tasks.demands import Contract, contract_of


class Judge:
    """Tell which training of a trial is to be stopped, and what it is worth.

    Args:
        settings: of the search.
        column: of a row of history, what it is judged by.
        epochs: how many the training has; it is not stopped after the last.
        peers: trainings of the trials that were settled before this trial was launched.
    """

    def __init__(
        self,
        settings: SearchSettings,
        *,
        column: str,
        epochs: int,
        peers: Sequence[Peer],
        pruner: Pruner | None,
    ) -> None:
        self._trial = settings.trial or 0
        self._sign = _sign(settings)
        self._column = column
        self._epochs = epochs
        self._peers = peers
        self._pruner = pruner

    @classmethod
    def of(cls, config: Mapping[str, Any], ledger: Path) -> Judge:
        """Return the judge of one training of a search.

        Args:
            config: its declaration.
            ledger: the folder of the search.
        """
        settings = SearchSettings.of(config["search"])
        assert settings.trial is not None
        epochs: int = config["trainer"]["max_epochs"]
        pruner = _pruner(settings, config)
        peers: list[Peer] = []
        if pruner is not None:
            sign, batch = _sign(settings), settings.batch_start(settings.trial)
            peers = [
                Peer(trial.index, tuple(sign * score for score in curve), trial.state == "pruned")
                for trial in Ledger(ledger).trials().values()
                if trial.index < batch
                for curve in trial.curves
            ]
        column = column_of(settings, contract_of(config["task"]["_target_"]))
        return cls(settings, column=column, epochs=epochs, peers=peers, pruner=pruner)

    def curve(self, history: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
        """Return what the training is judged by after each epoch."""
        return tuple(row[self._column] for row in history)

    def stops(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Tell whether the training ends after its latest epoch."""
        if self._pruner is None or len(history) >= self._epochs:
            return False
        curve = [self._sign * score for score in self.curve(history)]
        return self._pruner.stops(curve, self._peers, trial=self._trial)

    def stopped_at(self, history: Sequence[Mapping[str, float]]) -> int | None:
        """Return after how many epochs a training ends; None where it may go on.

        So a run that another door has trained further is judged as one that was trained here.
        """
        numbers = range(1, len(history) + 1)
        return next((number for number in numbers if self.stops(history[:number])), None)


def column_of(settings: SearchSettings, contract: Contract) -> str:
    """Return the column of a history that a search looks at."""
    return f"val/{contract.score}" if settings.metric in (None, "score") else str(settings.metric)


def check_metric(settings: SearchSettings, config: Mapping[str, Any]) -> None:
    """Refuse a metric that the task does not log, or that is searched in the wrong direction.

    Raises:
        ConfigError: with those it does log.
    """
    contract, data = contract_of(config["task"]["_target_"]), config["data"]
    logged = contract.logged(data["classes"], data["background"])
    metric = settings.metric or "score"
    if metric not in logged:
        raise ConfigError(f"search.metric: the task does not log {metric}; {closest(metric, logged)}")
    is_error = metric.endswith("_error") and metric.removeprefix("val/") in contract.scores
    better = "minimize" if metric == "val/loss" or is_error else "maximize"
    if settings.direction != better:
        way = "lower" if better == "minimize" else "higher"
        raise ConfigError(
            f"search.direction: {metric} is better when {way}, got {settings.direction}; set search.direction={better}"
        )


def check_pruner(settings: SearchSettings, config: Mapping[str, Any]) -> None:
    """Refuse a pruner that could never stop a training, or compares trainings of different lengths.

    Raises:
        ConfigError: it would first look when the training is over, or the space draws how long one is.
    """
    if settings.pruner != "none" and {"trainer", "trainer.max_epochs"} & settings.space.keys():
        raise ConfigError(
            "search.pruner: trainings of different lengths cannot be compared by epochs, and the space draws "
            "trainer.max_epochs; remove it there, or set search.pruner=none"
        )
    _pruner(settings, config)


def _pruner(settings: SearchSettings, config: Mapping[str, Any]) -> Pruner | None:
    epochs: int = config["trainer"]["max_epochs"]
    return pruner_of(settings.pruner, warmup=settings.warmup, factor=settings.factor, max_epochs=epochs)


def _sign(settings: SearchSettings) -> int:
    return 1 if settings.direction == "maximize" else -1
