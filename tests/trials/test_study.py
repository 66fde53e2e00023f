"""A search as an Optuna study: the same numbers and values, whatever the choices are."""

from __future__ import annotations

from math import inf

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.ledger import Trial
from pipeline.trials.study import build_study

ENTRIES = [
    Entry("optimizer", Choice(("sgd", "adamw", None, True, [0.9, {"a": 1}]))),
    Entry("optimizer.lr", Interval(1.0e-4, 1.0, is_log=True)),
    Entry("optimizer.momentum", Interval(0.5, 0.99), when=("optimizer", "sgd")),
    Entry("trainer.batch_size", Interval(16, 256, is_log=True, is_integer=True)),
    Entry("model.width", Choice((0.5, 1, 2.0), is_ordered=True)),
]


def point(optimizer: object, **more: float) -> dict[str, object]:
    return {
        "optimizer": optimizer,
        "optimizer.lr": 0.01,
        "trainer.batch_size": 16,
        "model.width": 0.5,
        **{f"optimizer.{key}": value for key, value in more.items()},
    }


def test_trials_keep_their_numbers_values_and_states() -> None:
    trials = [
        Trial(0, point("sgd", momentum=0.9), "failed", 1),
        Trial(1, point("adamw"), "finished", 1, [0.5, 0.7]),
        Trial(2, point("adamw"), "pruned", 1, [0.1]),
        Trial(3, point("sgd", momentum=0.5), "finished", 1, [0.4]),
        Trial(4, point("adamw"), "finished", 1, [float("nan")]),
    ]
    study = build_study("coarse", ENTRIES, trials, direction="minimize")
    assert (study.study_name, study.best_trial.number) == ("coarse", 3)
    states = [TrialState.FAIL, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL]
    assert [trial.state for trial in study.trials] == states
    assert [study.trials[number].value for number in (1, 3)] == pytest.approx([0.6, 0.4])
    assert study.trials[1].user_attrs == {"standard error": pytest.approx(0.1), "loss": inf}
    assert study.trials[3].params == trials[3].point
    assert "optimizer.momentum" not in study.trials[1].params


def test_space_keeps_its_scales_and_the_order_of_numbers() -> None:
    trial = Trial(0, point("sgd", momentum=0.9), "finished", 1, [0.4])
    (found,) = build_study("coarse", ENTRIES, [trial], direction="maximize").trials
    assert found.distributions == {
        "optimizer": CategoricalDistribution(["sgd", "adamw", "null", "true", "[0.9,{a:1}]"]),
        "optimizer.lr": FloatDistribution(1.0e-4, 1.0, log=True),
        "optimizer.momentum": FloatDistribution(0.5, 0.99),
        "trainer.batch_size": IntDistribution(16, 256, log=True),
        "model.width": CategoricalDistribution([0.5, 1, 2.0]),
    }


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), ([0.9, {"a": 1}], "[0.9,{a:1}]"), ("sgd", "sgd")]
)
def test_choice_that_is_no_number_is_written_as_in_an_override(value: object, text: str) -> None:
    trial = Trial(0, point(value), "finished", 1, [0.4])
    (found,) = build_study("coarse", ENTRIES, [trial], direction="maximize").trials
    assert found.params["optimizer"] == text
