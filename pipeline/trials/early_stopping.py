"""Early stopping in a search: which trainings a pruner stops, and by which metric they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.sweeps.ledger import Ledger
from pipeline.sweeps.pruners import Peer, Pruner, make_pruner
from pipeline.sweeps.settings import SearchSettings
from pipeline.tasks.demands import load_demands

# What decides how many images each class has, and with it the score that selects the epoch where none is declared.
OF_CLASSES = {"data"} | {
    f"data.{name}"
    for name in ("root", "format", "table", "columns", "separator", "classes", "split", "groups")
}


class PruningPolicy:
    """Decide whether to stop a training of a trial early.

    Args:
        settings: settings of the search.
        column: column of the history by which trainings are compared; the selecting score is `score`.
        epochs: maximum number of epochs; the training is never stopped after the last one.
        peers: trainings of the trials that ended before this trial was launched.
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
            declaration: declaration of that training.
            ledger: folder of the search.
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
        column = settings.metric or "score"
        return cls(settings, column=column, epochs=epochs, peers=peers, pruner=pruner)

    def curve(self, history: Sequence[Mapping[str, float]]) -> tuple[float, ...]:
        """Return the value of the metric after each epoch."""
        return tuple(row[self._column] for row in history)

    def stops(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Return whether to stop the training after its latest epoch."""
        if self._pruner is None or len(history) >= self._epochs:
            return False
        curve = [self._sign * score for score in self.curve(history)]
        return self._pruner.stops(curve, self._peers, trial=self._trial)

    def stopped_at(self, history: Sequence[Mapping[str, float]]) -> int | None:
        """Return the number of epochs after which a training is stopped; None if it may continue.

        A run that another command has trained further is thereby treated as if it had been stopped at the same epoch.
        """
        numbers = range(1, len(history) + 1)
        return next((number for number in numbers if self.stops(history[:number])), None)


def name_objective(metric: str | None, select: str | None) -> str:
    """Return what a search compares trainings by.

    Args:
        metric: `search.metric`.
        select: `trainer.select`, by which trainings are compared if the metric is null or `score`.
    """
    if metric not in (None, "score"):
        return str(metric)
    return "score" if select is None else f"val/{select}"


def check_metric(declaration: Declaration) -> None:
    """Check that the task logs the metric of a search, and that the direction is correct.

    Raises:
        ConfigError: it does not; the message lists the metrics that it logs.
    """
    demands, settings = load_demands(declaration.task), declaration.search
    logged = demands.logged(declaration.data)
    metric = settings.metric or "score"
    if metric not in logged:
        raise ConfigError.unknown("search.metric", metric, logged, what="metric")
    objective = name_objective(metric, declaration.trainer.select)
    if metric == "score":
        _check_same_score(declaration, is_labelled=demands.is_labelled)
    better = demands.direction(objective)
    if settings.direction != better:
        way = "lower" if better == "minimize" else "higher"
        raise ConfigError(
            "search.direction",
            f"{objective} is better when {way}",
            got=settings.direction,
            hint=f"set search.direction={better}",
        )


def _check_same_score(declaration: Declaration, *, is_labelled: bool) -> None:
    """Check that all trainings are judged by the same score.

    Raises:
        ConfigError: the space draws it, or images of classes, which decide it where it is not declared.
    """
    settings = declaration.search
    drawn = [key for key in settings.space if key in ("trainer", "trainer.select")]
    way = "remove it there"
    if not drawn and declaration.trainer.select is None and is_labelled:
        drawn = [key for key in settings.space if ".".join(key.split(".")[:2]) in OF_CLASSES]
        way = "set trainer.select"
    if drawn:
        raise ConfigError(
            "search.metric",
            f"trainings that are judged by different scores cannot be compared, and the space draws {drawn[0]}",
            got=settings.metric,
            hint=f"{way}, or set search.metric to one score, such as val/loss",
        )


def check_pruner(declaration: Declaration) -> None:
    """Check that a pruner can stop a training, and that all trainings have the same number of epochs.

    Raises:
        ConfigError: the first decision would come after the last epoch, or the space includes the number of epochs.
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
