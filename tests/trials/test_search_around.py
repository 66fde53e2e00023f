"""A search around the best of an earlier one, whatever it is named by; and what only a search may be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.declaration.composition import compose
from pipeline.sweeps.dimensions import Choice, Interval
from pipeline.sweeps.ledger import Ledger
from pipeline.sweeps.objective import ranked
from pipeline.trials.declared import load_search
from tests.launches import Trainings, by_rate, coarse, failing
from tests.refusals import refused

FINE = ["experiment=digits_lenet5", "search=fine"]


def test_fine_draws_around_the_best_of_coarse(tmp_path: Path) -> None:
    best = sorted(coarse(tmp_path).run(Trainings(by_rate)), key=lambda trial: -trial.values[0])[:5]
    fine = load_search([*FINE, "search.trials=8"], root=tmp_path)
    rates = [trial.point["optimizer.lr"] for trial in best]
    [rate] = [entry.dimension for entry in fine.entries if entry.key == "optimizer.lr"]
    assert isinstance(rate, Interval)
    # The span of the best and a tenth of the four decades, 10^0.4, on either side.
    assert (rate.low, rate.high) == pytest.approx((min(rates) / 10**0.4, max(rates) * 10**0.4), rel=1e-4)
    trials = fine.run(Trainings(by_rate))
    assert all(rate.low <= trial.point["optimizer.lr"] <= rate.high for trial in trials)
    assert fine.ledger.folder.name == "digits_lenet5-fine"


def test_search_after_one_that_never_ran_is_refused_with_those_that_did(tmp_path: Path) -> None:
    with refused("from", got="coarse", hint="allowed: nothing") as mistake:
        load_search(FINE, root=tmp_path)
    assert mistake.value.allowed == []
    coarse(tmp_path, "search.trials=1").run(Trainings(by_rate))
    text = "from: unknown search of digits_lenet5 'cors'; did you mean 'coarse'? allowed: coarse"
    with refused("from", got="cors", allowed=["coarse"], text=text):
        load_search([*FINE, "from=cors"], root=tmp_path)


def test_fine_keeps_its_space_when_coarse_goes_on(tmp_path: Path) -> None:
    fine = [*FINE, "search.trials=2"]
    coarse(tmp_path, "search.trials=4").run(Trainings(by_rate))
    before = load_search(fine, root=tmp_path)
    before.run(Trainings(by_rate))
    coarse(tmp_path, "search.trials=30").run(Trainings(by_rate))
    assert load_search(fine, root=tmp_path).entries == before.entries


def test_earlier_search_can_be_named_by_its_run(tmp_path: Path) -> None:
    for name, run in (("one", "1f0"), ("two", "2f0")):
        search = coarse(tmp_path, "search.trials=4", f"search.name={name}")
        search.run(Trainings(by_rate if name == "one" else lambda settings: -by_rate(settings)))
        search.ledger.update(mlflow_run_id=run)
    by_name, by_run = (load_search([*FINE, f"from={each}"], root=tmp_path) for each in ("one", "1f0"))
    assert by_run.around == by_name.around
    assert by_run.entries == by_name.entries
    assert load_search([*FINE, "from='2f0'"], root=tmp_path).entries != by_name.entries
    with refused("from", got="3f0", allowed=["one", "two"]):
        load_search([*FINE, "from='3f0'"], root=tmp_path)


def test_search_of_another_experiment_is_not_found(tmp_path: Path) -> None:
    coarse(tmp_path, "search.trials=2", "name=other").run(Trainings(by_rate))
    with refused("from", got="coarse", hint="allowed: nothing"):
        load_search(FINE, root=tmp_path)


def test_earlier_search_without_a_finished_trial_is_refused(tmp_path: Path) -> None:
    with refused("search"):
        coarse(tmp_path, "search.trials=2").run(failing("out of memory"))
    text = "from: search 'coarse' has no finished trial yet, got 'coarse'; run it first"
    with refused("from", got="coarse", hint="run it first", text=text):
        load_search(FINE, root=tmp_path)


@pytest.mark.parametrize(("metric", "direction"), [("val/auroc", "maximize"), ("val/loss", "minimize")])
def test_earlier_search_by_another_metric_is_refused(tmp_path: Path, metric: str, direction: str) -> None:
    coarse(tmp_path, "search.trials=2").run(Trainings(by_rate))
    judged = [f"search.metric={metric}", f"search.direction={direction}"]
    text = (
        f"from: search 'coarse' has search.metric=score, this one {metric}, so its best are not the best here, got "
        "'coarse'; choose the same"
    )
    with refused("from", got="coarse", hint="choose the same", text=text):
        load_search([*FINE, *judged], root=tmp_path)
    coarse(tmp_path, "search.trials=2", "search.name=same", *judged).run(Trainings(by_rate))
    load_search([*FINE, *judged, "from=same"], root=tmp_path)


def test_choice_that_the_earlier_search_did_not_have_stays_as_it_is(tmp_path: Path) -> None:
    earlier = "+search.space={model.activation: 'choice(relu, tanh)', trainer.batch_size: 'choice(16, 32)'}"
    later = "+search.space={model.activation: 'choice(silu, gelu)', trainer.batch_size: 'choice(64, 32, 16)'}"
    lenet = ["experiment=digits_lenet5", "search.trials=4"]
    trials = load_search([*lenet, earlier, "search.name=earlier"], root=tmp_path).run(
        Trainings(lambda settings: float(settings["trainer.batch_size"]))
    )
    assert {trial.point["trainer.batch_size"] for trial in trials} == {16, 32}
    search = load_search([*lenet, later, "search.name=later", "from=earlier"], root=tmp_path)
    activation, size = (entry.dimension for entry in search.entries)
    assert activation == Choice(("silu", "gelu"))
    assert size == Choice((32, 16))
    assert {trial.point["model.activation"] for trial in search.run(Trainings(lambda _: 0.0))} <= {
        "silu",
        "gelu",
    }


def test_points_that_a_search_was_drawn_around_are_kept_with_it(tmp_path: Path) -> None:
    coarse(tmp_path, "search.trials=4").run(Trainings(by_rate))
    search = load_search([*FINE, "search.trials=2"], root=tmp_path)
    search.run(Trainings(by_rate))
    best = sorted(
        Ledger(tmp_path / "runs/searches/digits_lenet5-coarse").trials().values(), key=lambda t: -t.values[0]
    )
    assert search.ledger.about()["around"] == [trial.point for trial in best[:2]] == search.around


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (
            "from",
            "coarse",
            "from: belongs to a search, got 'coarse'; add search=coarse, or leave the setting out",
        ),
        ("search.trial", 3, ""),
        ("plan", True, ""),
    ],
)
def test_what_belongs_to_a_search_is_refused_without_one(path: str, value: object, text: str) -> None:
    with refused(path, got=value, hint="add search=coarse", text=text):
        compose(["experiment=digits_lenet5", f"{path}={value}"])


@pytest.mark.parametrize(
    ("path", "value", "allowed", "text"),
    [
        (
            "from",
            3,
            "the name of an earlier search, or null",
            "from must be the name of an earlier search, or null, got 3",
        ),
        ("plan", "maybe", "true or false", "plan must be true or false, got 'maybe'"),
    ],
)
def test_from_is_a_name_and_plan_a_truth_value(path: str, value: object, allowed: str, text: str) -> None:
    with refused(path, got=value, allowed=allowed, text=text):
        compose(["experiment=digits_lenet5", f"{path}={value}"])


def test_number_of_a_trial_is_not_for_the_user(tmp_path: Path) -> None:
    text = "search.trial: is set by the search itself, got 3; leave it out"
    with refused("search.trial", got=3, hint="leave it out", text=text):
        coarse(tmp_path, "search.trial=3")


def test_point_that_comes_twice_is_two_trials_of_the_same_worth(tmp_path: Path) -> None:
    """Both are launched, since the run of the first is found there and not trained again."""
    space = "+search.space={model.activation: 'choice(relu, tanh)'}"
    search = load_search(["experiment=digits_lenet5", space, "search.trials=8"], root=tmp_path)
    worth = {"relu": 0.5, "tanh": 0.25}
    trainings = Trainings(lambda settings: worth[settings["model.activation"]])
    trials = search.run(trainings)
    assert len({str(trial.point) for trial in trials}) == 2
    assert len({str(jobs) for jobs in trainings.launched}) == 8
    assert [trial.values for trial in trials] == [
        [worth[trial.point["model.activation"]]] for trial in trials
    ]
    assert [trial.index for trial in ranked(trials, direction="maximize")] == sorted(
        range(8), key=lambda index: (-trials[index].values[0], index)
    )
