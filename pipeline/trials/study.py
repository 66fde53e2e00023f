"""Conversion of the trials of a search to an Optuna study, for Optuna's visualizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.pages.search import ERROR, LOSS
from pipeline.sweeps.dimensions import Choice, Dimension, Entry
from pipeline.sweeps.ledger import Trial
from pipeline.sweeps.objective import finished, mean_and_error, mean_loss
from pipeline.trials.space import written

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution, CategoricalChoiceType


def build_study(name: str, entries: Sequence[Entry], trials: Sequence[Trial], *, direction: str) -> Study:
    """Return the trials as a study, in which trials that did not finish have no value.

    Args:
        entries: the space, wide enough to contain all trials.
        trials: all trials in order, so that their numbers in the study are the same.
    """
    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=name, direction=StudyDirection[direction.upper()])
    has_value = {trial.index for trial in finished(trials)}
    for trial in trials:
        known = [entry for entry in entries if entry.key in trial.point]
        ending: dict[str, Any] = {"state": TrialState.PRUNED if trial.state == "pruned" else TrialState.FAIL}
        if trial.index in has_value:
            mean, error = mean_and_error(trial.values)
            ending = {"value": mean, "user_attrs": {ERROR: error, LOSS: mean_loss(trial)}}
        study.add_trial(
            create_trial(
                params={entry.key: _param(trial.point[entry.key]) for entry in known},
                distributions={entry.key: _distribution(entry.dimension) for entry in known},
                **ending,
            )
        )
    return study


def _param(value: Any) -> CategoricalChoiceType:
    """Return a number unchanged, so that Optuna sorts it numerically, and any other value as text."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else written(value)


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution([_param(value) for value in dimension.values])
    if dimension.is_integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.is_log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.is_log)
