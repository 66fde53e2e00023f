"""A search: what it tries, what it keeps, and that being killed changes nothing."""

from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from pipeline.declaration.composition import compose
from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.ledger import Ledger
from pipeline.trials.declared import load_search
from pipeline.trials.results import Objective, compare_trials, format_plan
from pipeline.trials.search import Outcome
from tests.launches import COARSE, Settings, Trainings, by_rate, coarse, failing, planted, settings_of
from tests.refusals import refused


def test_every_trial_is_launched_once_with_its_point_and_kept_with_its_value(tmp_path: Path) -> None:
    trainings = Trainings(by_rate)
    trials = coarse(tmp_path, "search.trials=5").run(trainings)
    assert [trial.index for trial in trials] == list(range(5))
    for trial, [job] in zip(trials, trainings.launched, strict=True):
        assert job[:3] == [*COARSE, "search.trials=5"]
        point = {key: str(value) for key, value in trial.point.items()}
        assert settings_of(job[3:]) == point | {"search.trial": str(trial.index)}
        assert (trial.state, trial.attempts, trial.values) == ("finished", 1, [by_rate(settings_of(job))])
    folder = tmp_path / "runs" / "searches" / "digits_lenet5-coarse"
    assert list(Ledger(folder).trials().values()) == trials
    assert coarse(tmp_path, "search.trials=5").run(failing("trained again")) == trials


def test_random_beats_a_grid_where_few_of_many_keys_matter(tmp_path: Path) -> None:
    """Bergstra and Bengio 2012, figure 1: 64 points of a grid are 2 values per key, those of random 64."""
    keys = [f"k{number}" for number in range(6)]
    ways = {
        "random": [Entry(key, Interval(0.0, 1.0)) for key in keys],
        "grid": [Entry(key, Choice((0.25, 0.75), is_ordered=True)) for key in keys],
    }
    best: dict[str, list[float]] = {"random": [], "grid": []}
    for seed in range(10):
        target = np.random.default_rng(seed).random(2)

        def response(settings: Settings, target: Any = target) -> float:
            return -float(np.hypot(*(target - [float(settings["k1"]), float(settings["k4"])])))

        for name, entries in ways.items():
            search = planted(tmp_path / f"{name}{seed}", entries, sampler=name, seed=seed)
            best[name].append(max(trial.values[0] for trial in search.run(Trainings(response))))
    assert fmean(best["random"]) > fmean(best["grid"]) / 2, "the best is 0"


def test_trial_without_a_value_fails_with_its_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    answers = [
        Outcome(0.5),
        Outcome(None, "out of memory"),
        Outcome(nan),
        Outcome(float("inf")),
        Outcome(0.7),
    ]
    trials = coarse(tmp_path, "search.trials=5").run(lambda jobs: [answers.pop(0)])
    assert [(trial.state, trial.values, trial.reason) for trial in trials] == [
        ("finished", [0.5], ""),
        ("failed", [], "out of memory"),
        ("failed", [], "the score is not defined"),
        ("failed", [], "the score is not defined"),
        ("finished", [0.7], ""),
    ]
    compared = compare_trials(
        coarse(tmp_path, "search.trials=5"), trials, objective=Objective("val/accuracy", None), root=tmp_path
    )
    assert [(row.name.split(":")[0], row.value) for row in compared.rows] == [
        ("trial 4", 0.7),
        ("trial 0", 0.5),
    ]
    assert [(name.split(":")[0], reason) for name, reason in compared.failures] == [
        ("trial 1", "out of memory"),
        ("trial 2", "the score is not defined"),
        ("trial 3", "the score is not defined"),
    ]


def test_tpe_is_told_what_came_of_the_trials_before_with_its_sign(tmp_path: Path) -> None:
    def points(direction: str, sign: int) -> list[dict[str, Any]]:
        entries = [Entry("optimizer.lr", Interval(1e-4, 1.0, is_log=True))]
        root = tmp_path / f"{direction}{sign}"
        search = planted(root, entries, sampler="tpe", trials=16, direction=direction)
        return [trial.point for trial in search.run(Trainings(lambda settings: sign * by_rate(settings)))]

    best = points("maximize", 1)
    assert points("minimize", -1) == best
    worst = points("maximize", -1)
    assert worst[:10] == best[:10], "the first ten are drawn at random"
    assert all(one != other for one, other in zip(worst[10:], best[10:], strict=True))


def test_metric_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=2", "search.metric=val/loss", "search.direction=minimize")
    answers = [Outcome(nan), Outcome(1.0)]
    trials = search.run(lambda jobs: [answers.pop(0)])
    assert trials[0].reason == "val/loss is not defined"


def test_search_whose_trials_all_fail_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=2")
    hint = f"see {search.ledger.folder}"
    text = f"search: none of 2 trials has a value, the first reason: no such optimizer; {hint}"
    with refused("search", hint=hint, text=text):
        search.run(failing("no such optimizer"))


def test_more_trials_extend_a_search_and_fewer_show_its_beginning(tmp_path: Path) -> None:
    three = coarse(tmp_path, "search.trials=3").run(Trainings(by_rate))
    trainings = Trainings(by_rate)
    five = coarse(tmp_path, "search.trials=5").run(trainings)
    assert five[:3] == three
    assert len(trainings.launched) == 2
    assert coarse(tmp_path, "search.trials=2").run(failing("trained")) == three[:2]


def test_seeds_are_launched_together_and_their_spread_is_taken_off(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=2", "search.seeds=3")
    values = {"0": 0.4, "1": 0.6, "2": 0.8}
    trainings = Trainings(lambda settings: values[settings["seed"]])
    trials = search.run(trainings)
    assert [[settings_of(job)["seed"] for job in jobs] for jobs in trainings.launched] == [
        ["0", "1", "2"]
    ] * 2
    assert trials[0].values == [0.4, 0.6, 0.8]
    # Deviations of 0.2: their standard deviation is 0.2, the error of the mean 0.2 / sqrt(3) = 0.1155.
    (first, _) = compare_trials(search, trials, objective=Objective("val/accuracy", None), root=tmp_path).rows
    assert (f"{first.value:.4f}", first.spread) == ("0.6000", "0.1155")
    answers = [Outcome(0.5), Outcome(None, "died"), Outcome(0.5), *[Outcome(0.5)] * 3]
    other = coarse(tmp_path, "search.trials=2", "search.seeds=3", "search.name=other")
    failed = other.run(lambda jobs: [answers.pop(0) for _ in jobs])
    assert [(trial.state, trial.reason) for trial in failed] == [("failed", "died"), ("finished", "")]


def test_first_seed_is_that_of_the_declaration(tmp_path: Path) -> None:
    [trial] = coarse(tmp_path, "search.trials=1", "seed=7").run(Trainings(by_rate))
    one, three = (
        coarse(tmp_path, "search.trials=1", "seed=7", f"search.seeds={number}").jobs(0, trial.point)
        for number in (1, 3)
    )
    assert [compose(job).seed for job in one] == [7]
    assert [compose(job).seed for job in three] == [7, 8, 9]


def test_folds_of_a_search_and_a_fold_of_the_declaration_exclude_each_other(tmp_path: Path) -> None:
    fold = "data.fold={index:0,of:3}"
    text = (
        "search.folds: each point is trained on all folds, and data.fold is {'index': 0, 'of': 3}, got 4; leave one of "
        "the two out"
    )
    with refused("search.folds", got=4, hint="leave one of the two out", text=text):
        coarse(tmp_path, fold, "search.folds=4")
    coarse(tmp_path, fold)
    jobs = coarse(tmp_path, "search.folds=4").jobs(0, {"optimizer.lr": 0.1})
    assert [compose(job).data.fold for job in jobs] == [{"index": fold, "of": 4} for fold in range(4)]


def test_pruner_that_would_look_when_all_is_over_is_refused_before_the_first_trial(tmp_path: Path) -> None:
    pruned = ["experiment=digits_lenet5", "search.pruner=median", "search.warmup=5", "trainer.max_epochs=5"]
    with refused("search.warmup", got=5, hint="search.pruner=none"):
        load_search([*pruned, "+search.space={optimizer.lr: 'interval(0, 1)'}"], root=tmp_path)
    assert not (tmp_path / "runs").exists()


def test_pruner_cannot_compare_trainings_of_different_lengths(tmp_path: Path) -> None:
    space = "+search.space={trainer.max_epochs: 'range(6, 9)'}"
    load_search(["experiment=digits_lenet5", space], root=tmp_path)
    text = (
        "search.pruner: trainings of different lengths cannot be compared by epochs, and the space draws "
        "trainer.max_epochs, got 'halving'; remove it there, or set search.pruner=none"
    )
    with refused("search.pruner", got="halving", hint="set search.pruner=none", text=text):
        load_search(["experiment=digits_lenet5", space, "search.pruner=halving"], root=tmp_path)


def test_another_search_under_the_same_name_is_refused(tmp_path: Path) -> None:
    coarse(tmp_path, "search.trials=1").run(Trainings(by_rate))
    for changed, difference in [
        ("search.seed=1", "search.seed was 0 there and is 1 now"),
        ("optimizer.momentum=0.5", "declaration.optimizer.momentum was 0.9 there and is 0.5 now"),
    ]:
        search = coarse(tmp_path, "search.trials=1", changed)
        with refused("search.name", hint="choose another search.name") as mistake:
            search.run(Trainings(by_rate))
        assert mistake.value.problem == f"{search.ledger.folder} holds another search: {difference}"


def test_grid_smaller_than_its_trials_is_refused(tmp_path: Path) -> None:
    grid = [
        "experiment=digits_lenet5",
        "+search.space={trainer.batch_size: 'choice(8, 16)'}",
        "search.sampler=grid",
    ]
    text = "search.trials must be at most 2, the number of points of the grid, got 3; set search.trials=2"
    with refused("search.trials", got=3, hint="set search.trials=2", text=text):
        load_search([*grid, "search.trials=3"], root=tmp_path)
    points = load_search([*grid, "search.trials=2"], root=tmp_path).points()
    assert points == [{"trainer.batch_size": 8}, {"trainer.batch_size": 16}]


def test_plan_lists_every_trial_with_its_cost_and_keeps_nothing(tmp_path: Path) -> None:
    search = coarse(tmp_path, "search.trials=3")
    head, *rows = [line.split() for line in format_plan(search, root=tmp_path).splitlines()]
    assert head == ["trial", *(entry.key for entry in search.entries), "weights", "multiply-adds", "seconds"]
    for index, (row, point) in enumerate(zip(rows, search.points(), strict=True)):
        # LeNet-5 as of LeCun et al. 1998, fully connected and on 32 x 32 images, has 61,706 weights.
        assert row == [str(index), *map(str, point.values()), "61,706", "416,520"]
    assert not (tmp_path / "runs").exists()


def test_plan_names_the_first_trial_that_cannot_work(tmp_path: Path) -> None:
    space = "+search.space={model.activation: 'choice(relu, rely)'}"
    search = load_search(["experiment=digits_lenet5", space, "search.trials=9"], root=tmp_path)
    first = [point["model.activation"] for point in search.points()].index("rely")
    with refused("model.activation") as alone:
        compose(["experiment=digits_lenet5", "model.activation=rely"])
    problem = f"trial {first} (model.activation=rely) cannot work: {alone.value}"
    text = f"model.activation: {problem}; change search.space"
    with refused("model.activation", hint="change search.space", text=text):
        format_plan(search, root=tmp_path)


def test_what_comes_after_a_training_that_failed_or_was_pruned_does_not_count(tmp_path: Path) -> None:
    """One launcher trains all seeds of a trial, another stops where it is decided: the table is the same."""
    pruned = Outcome(0.4, "stopped", (0.4,), is_pruned=True)
    for number, rest in enumerate((Outcome(0.9), Outcome(None, "not needed"), pruned)):
        answers = [Outcome(0.5), pruned, rest, *[Outcome(0.5)] * 3]
        search = coarse(tmp_path, "search.trials=2", "search.seeds=3", f"search.name=s{number}")
        first, _ = search.run(lambda jobs, answers=answers: [answers.pop(0) for _ in jobs])
        assert (first.state, first.values, first.reason) == ("pruned", [0.5, 0.4], "stopped")
        assert first.curves == [[], [0.4]]
