"""Early stopping of the trainings of a search: which of them a pruner stops, and what they are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.sweeps.ledger import Ledger
from pipeline.sweeps.pruners import Peer, Pruner, make_pruner
from pipeline.sweeps.settings import SearchSettings
from pipeline.tasks.demands import Demands, load_demands


class PruningPolicy:
    """Decide which training of a trial to stop, and by which values it is compared.

    Args:
        settings: of the search.
        column: of a row of history, by which trainings are compared.
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
    def load(cls, declaration: Declaration, ledger: Path) -> PruningPolicy:
        """Return the policy for one training of a search.

        Args:
            declaration: of that training.
            ledger: the folder of the search.
        """
        settings, epochs = declaration.search, declaration.trainer.max_epochs
        assert settings.trial is not None
        pruner = _make_pruner(settings, declaration)
        peers: list[Peer] = []
        if pruner is not None:
            sign, batch = _sign(settings), settings.batch_start(settings.trial)
            peers = [
                Peer(trial.index, tuple(sign * score for score in curve), trial.state == "pruned")
                for trial in Ledger(ledger).trials().values()
                if trial.index < batch
                for curve in trial.curves
            ]
        column = metric_column(settings, load_demands(declaration.task))
        return cls(settings, column=column, epochs=epochs, peers=peers, pruner=pruner)

    def curve(self, history: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
        """Return the value of the training after each epoch."""
        return tuple(row[self._column] for row in history)

    def stops(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Return whether to stop the training after its latest epoch."""
        if self._pruner is None or len(history) >= self._epochs:
            return False
        curve = [self._sign * score for score in self.curve(history)]
        return self._pruner.stops(curve, self._peers, trial=self._trial)

    def stopped_at(self, history: Sequence[Mapping[str, float]]) -> int | None:
        """Return after how many epochs a training is stopped; None where it may go on.

        So a run that was trained further elsewhere counts as one that was trained here.
        """
        numbers = range(1, len(history) + 1)
        return next((number for number in numbers if self.stops(history[:number])), None)


def metric_column(settings: SearchSettings, demands: Demands) -> str:
    """Return the column of a history by which a search compares."""
    return f"val/{demands.score}" if settings.metric in (None, "score") else str(settings.metric)


def check_metric(declaration: Declaration) -> None:
    """Refuse a metric that the task does not log, or a search in the wrong direction.

    Raises:
        ConfigError: with those it does log.
    """
    demands, settings = load_demands(declaration.task), declaration.search
    logged = demands.logged(declaration.data)
    metric = settings.metric or "score"
    if metric not in logged:
        raise ConfigError.unknown("search.metric", metric, logged, what="metric")
    better = demands.direction(metric)
    if settings.direction != better:
        way = "lower" if better == "minimize" else "higher"
        raise ConfigError(
            "search.direction",
            f"{metric} is better when {way}",
            got=settings.direction,
            hint=f"set search.direction={better}",
        )


def check_pruner(declaration: Declaration) -> None:
    """Refuse a pruner that could never stop a training, or compares trainings of different lengths.

    Raises:
        ConfigError: it would first look when the training is over, or the space draws how long one is.
    """
    settings = declaration.search
    if settings.pruner != "none" and {"trainer", "trainer.max_epochs"} & settings.space.keys():
        raise ConfigError(
            "search.pruner",
            "trainings of different lengths cannot be compared by epochs, and the space draws trainer.max_epochs",
            got=settings.pruner,
            hint="remove it there, or set search.pruner=none",
        )
    _make_pruner(settings, declaration)


def _make_pruner(settings: SearchSettings, declaration: Declaration) -> Pruner | None:
    epochs = declaration.trainer.max_epochs
    return make_pruner(settings.pruner, warmup=settings.warmup, factor=settings.factor, max_epochs=epochs)


def _sign(settings: SearchSettings) -> int:
    return 1 if settings.direction == "maximize" else -1
