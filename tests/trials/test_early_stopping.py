"""The pruning policy of a training: whom it is compared with, when it is stopped, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.sweeps.ledger import Ledger, Trial
from pipeline.sweeps.pruners import Peer, make_pruner
from pipeline.sweeps.settings import SearchSettings
from pipeline.trials.early_stopping import PruningPolicy, check_metric
from tests.launches import DEFAULTS, judged
from tests.refusals import refused

LOSS = {"metric": "val/loss", "direction": "minimize"}


def settings_with(**changed: Any) -> SearchSettings:
    return SearchSettings.of(DEFAULTS | {"name": "judged"} | changed)


def history_of(curve: Sequence[float], column: str = "score") -> list[dict[str, float]]:
    return [{"epoch": float(epoch), column: score, "other": -score} for epoch, score in enumerate(curve)]


def policy_in(folder: Path, curves: dict[int, list[float]], *, trial: int, **changed: Any) -> PruningPolicy:
    """Return the policy of a trial after trials that went by some curves."""
    ledger = Ledger(folder)
    ledger.open({})
    for index, curve in curves.items():
        ledger.settle(Trial(index, {}), "finished", values=curve[-1:], curves=[curve])
    settings = settings_with(**changed)
    return PruningPolicy.load(judged(settings, trial=trial, epochs=5), folder)


@pytest.mark.parametrize(
    ("trial", "changed", "batch"),
    [
        (7, {}, 7),
        (6, {"parallel": 3}, 6),
        (7, {"parallel": 3}, 6),
        (8, {"parallel": 3}, 6),
        # 20 trials in three rounds begin at 0, 6 and 13, and a round begins a batch.
        (8, {"parallel": 4, "trials": 20, "rounds": 3}, 6),
        (12, {"parallel": 4, "trials": 20, "rounds": 3}, 10),
        (13, {"parallel": 4, "trials": 20, "rounds": 3}, 13),
    ],
    ids=str,
)
def test_peers_are_the_trials_of_earlier_batches(
    tmp_path: Path, trial: int, changed: dict[str, Any], batch: int
) -> None:
    """Halving lets one of two on: it is stopped by the first better peer that it knows."""
    for better in range(20):
        curves = {index: [0.9 if index == better else 0.1] * 5 for index in range(20) if index != trial}
        folder = tmp_path / str(better)
        policy = policy_in(folder, curves, trial=trial, pruner="halving", factor=99, **changed)
        assert policy.stops(history_of([0.5])) == (better < batch), better


@pytest.mark.parametrize(("changed", "sign"), [({}, 1), (LOSS, -1)], ids=["maximize", "minimize"])
def test_minimised_metric_is_better_when_lower(tmp_path: Path, changed: dict[str, Any], sign: int) -> None:
    column = changed.get("metric", "score")
    policy = policy_in(tmp_path, {0: [0.5] * 5}, trial=1, pruner="halving", factor=2, **changed)
    assert [policy.stops(history_of([0.5 + sign * step], column)) for step in (-0.1, 0.1)] == [True, False]
    assert policy.curve(history_of([0.4, 0.6], column)) == (0.4, 0.6), "as it is logged"


def test_every_training_of_a_trial_is_a_peer_and_one_without_curves_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.open({})
    ledger.settle(Trial(0, {}), "finished", values=[0.2, 0.6], curves=[[0.2] * 5, [0.6] * 5])
    ledger.settle(Trial(1, {}), "failed", reason="out of memory")
    ledger.start(Trial(2, {}))
    declaration = judged(settings_with(pruner="halving", factor=2), trial=3, epochs=5)
    policy = PruningPolicy.load(declaration, tmp_path)
    assert [policy.stops(history_of([score])) for score in (0.5, 0.7)] == [True, False]


def test_stopped_peers_do_not_count_for_the_median(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.open({})
    for index in range(5):
        ledger.settle(Trial(index, {}), "finished", values=[0.2], curves=[[0.2] * 5])
    for index in range(5, 20):
        ledger.settle(Trial(index, {}), "pruned", values=[0.8], curves=[[0.8]])
    policy = PruningPolicy.load(judged(settings_with(pruner="median"), trial=20, epochs=5), tmp_path)
    assert [policy.stops(history_of([score])) for score in (0.1, 0.3)] == [True, False]


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_last_epoch_is_never_stopped(tmp_path: Path, pruner: str) -> None:
    policy = policy_in(
        tmp_path, {index: [0.9] * 5 for index in range(40)}, trial=40, pruner=pruner, warmup=4, factor=2
    )
    assert not policy.stops(history_of([0.1] * 5))
    assert not policy.stops(history_of([0.1] * 6)), "of a run that another setting trained further"


def test_without_a_pruner_nothing_is_stopped_and_no_ledger_read(tmp_path: Path) -> None:
    policy = PruningPolicy.load(judged(settings_with(), trial=3, epochs=5), tmp_path / "none")
    assert policy.stopped_at(history_of([0.0] * 5)) is None


CURVES = st.lists(st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.7, float("nan")]), min_size=6, max_size=6))


@given(
    pruner=st.sampled_from(["median", "halving", "hyperband"]),
    sign=st.sampled_from(["maximize", "minimize"]),
    peers=CURVES,
    curve=st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.7]), min_size=1, max_size=6),
)
def test_longer_history_is_stopped_where_it_would_have_been_epoch_by_epoch(
    pruner: str, sign: str, peers: list[list[float]], curve: list[float]
) -> None:
    policy = PruningPolicy(
        settings_with(trial=len(peers), direction=sign, pruner=pruner),
        column="score",
        epochs=6,
        peers=[Peer(trial, tuple(scores), False) for trial, scores in enumerate(peers)],
        pruner=make_pruner(pruner, warmup=1, factor=2, max_epochs=6),
    )
    wanted = None
    for epoch in range(1, len(curve) + 1):
        if policy.stops(history_of(curve)[:epoch]):
            wanted = epoch
            break
    assert policy.stopped_at(history_of(curve)) == wanted
    assert wanted is None or wanted < 6


def declared(experiment: str, **changed: Any) -> Declaration:
    """Return the declaration of an experiment with a search."""
    declaration = Declaration.parse(compose_sections([f"experiment={experiment}"]))
    return declaration.replace(search=vars(settings_with(**changed)))


DIGITS = ("accuracy", "auroc", "balanced_accuracy", "calibration_error", "loss", "macro_f1")
LOGGED = ["score", *(f"val/{name}" for name in DIGITS)]


@pytest.mark.parametrize(
    ("experiment", "changed"),
    [
        ("digits_lenet5", {}),
        ("digits_lenet5", {"metric": "score"}),
        ("digits_lenet5", {"metric": "val/auroc"}),
        ("digits_lenet5", LOSS),
        ("digits_lenet5", {"metric": "val/calibration_error", "direction": "minimize"}),
        ("brain_unet", {"metric": "val/iou"}),
    ],
    ids=str,
)
def test_metric_that_is_logged_is_taken(experiment: str, changed: dict[str, Any]) -> None:
    check_metric(declared(experiment, **changed))


@pytest.mark.parametrize("metric", ["scor", "epoch", "train/loss", "val/dice"])
def test_metric_that_is_not_logged_is_refused(metric: str) -> None:
    text = f"search.metric: unknown metric 'scor'; did you mean 'score'? allowed: {', '.join(LOGGED)}"
    with refused("search.metric", got=metric, allowed=LOGGED, text=text if metric == "scor" else ""):
        check_metric(declared("digits_lenet5", metric=metric))


def test_metric_of_another_task_is_refused() -> None:
    with refused("search.metric", got="val/accuracy"):
        check_metric(declared("brain_unet", metric="val/accuracy"))


@pytest.mark.parametrize(
    ("metric", "direction", "better", "text"),
    [
        (
            "val/loss",
            "maximize",
            "minimize",
            "search.direction: val/loss is better when lower, got 'maximize'; set search.direction=minimize",
        ),
        ("val/calibration_error", "maximize", "minimize", ""),
        ("val/auroc", "minimize", "maximize", ""),
        (
            None,
            "minimize",
            "maximize",
            "search.direction: score is better when higher, got 'minimize'; set search.direction=maximize",
        ),
    ],
)
def test_search_in_the_wrong_direction_is_refused(
    metric: str | None, direction: str, better: str, text: str
) -> None:
    with refused("search.direction", got=direction, hint=f"set search.direction={better}", text=text):
        check_metric(declared("digits_lenet5", metric=metric, direction=direction))


@pytest.mark.parametrize("name", ["error", "loss"])
def test_score_of_a_class_is_better_when_higher_whatever_the_class_is_called(name: str) -> None:
    declaration = Declaration.parse(compose_sections(["experiment=brain_unet"]))
    data = {**declaration.sections["data"], "classes": ["other", "grey", name]}
    metric = f"val/iou_{name}"
    check_metric(declaration.replace(data=data, search=vars(settings_with(metric=metric))))
    minimized = vars(settings_with(metric=metric, direction="minimize"))
    with refused("search.direction", got="minimize", hint="set search.direction=maximize"):
        check_metric(declaration.replace(data=data, search=minimized))


@pytest.mark.parametrize("name", ["iou", "dice"])
def test_score_of_a_class_can_be_searched_but_not_of_the_background(name: str) -> None:
    facts = declared("brain_unet").data
    assert facts.background is not None
    for each in facts.classes:
        declaration = declared("brain_unet", metric=f"val/{name}_{each}")
        if each != facts.background:
            check_metric(declaration)
            continue
        with refused("search.metric", got=f"val/{name}_{each}"):
            check_metric(declaration)
