"""Samplers: points lie in the space, and depend on what they are said to depend on, nothing else."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, qmc

from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.samplers import (
    START,
    Grid,
    Point,
    QuasiRandom,
    Random,
    Sampler,
    Tpe,
    draw_unit,
    make_sampler,
    point_at,
)
from tests.refusals import refused

LR = Entry("optimizer.lr", Interval(1e-4, 1.0, is_log=True))
DROP = Entry("model.dropout", Interval(0.0, 0.5))
WIDTH = Entry("model.width", Interval(1, 64, is_log=True, is_integer=True))
KIND = Entry("optimizer", Choice(("sgd", "adam", None, True)))
SIZE = Entry("trainer.batch_size", Choice((16, 32, 64), is_ordered=True))
MOMENTUM = Entry("optimizer.momentum", Interval(0.5, 1.0), when=("optimizer", "sgd"))
BETA = Entry("optimizer.beta", Choice((0.9, 0.99)), when=("optimizer", "adam"))
SPACE = [LR, DROP, WIDTH, KIND, SIZE, MOMENTUM, BETA]
COUNTABLE = [KIND, SIZE, Entry("model.depth", Interval(1, 3, is_integer=True)), BETA]
SAMPLERS = pytest.mark.parametrize("name", ["random", "grid", "qmc", "tpe"])
AXES = [Entry("x", Interval(0.0, 1.0)), Entry("y", Interval(0.0, 1.0))]
Observations = list[tuple[Point, float]]


def ran(sampler: Sampler, count: int, score: Callable[[Point], float]) -> Observations:
    """Return the points and scores of some trials, each given those before it."""
    observations: Observations = []
    for index in range(count):
        point = sampler.point(index, observations)
        observations.append((point, score(point)))
    return observations


def likes_sgd(point: Point) -> float:
    return (
        point["trainer.batch_size"] / 64 + (point["optimizer"] == "sgd") + point.get("optimizer.momentum", 0)
    )


def is_in(entry: Entry, value: Any) -> bool:
    if isinstance(entry.dimension, Choice):
        return any(
            value is each or (value == each and type(value) is type(each)) for each in entry.dimension.values
        )
    whole = isinstance(value, int) or not entry.dimension.is_integer
    return whole and bool(entry.dimension.low <= value <= entry.dimension.high)


@SAMPLERS
def test_points_lie_in_the_space_and_have_the_keys_that_count(name: str) -> None:
    entries = COUNTABLE if name == "grid" else SPACE
    for point, _ in ran(make_sampler(name, entries, seed=0), 25, likes_sgd):
        counted = [entry for entry in entries if entry.when is None or point[entry.when[0]] == entry.when[1]]
        assert list(point) == [entry.key for entry in counted]
        assert all(is_in(entry, point[entry.key]) for entry in counted), point


@SAMPLERS
def test_same_trial_with_the_same_observations_is_the_same_point(name: str) -> None:
    entries = COUNTABLE if name == "grid" else SPACE
    observations = ran(make_sampler(name, entries, seed=5), 20, likes_sgd)
    for index in (19, 0, 10, 19):
        anew = make_sampler(name, entries, seed=5)
        assert anew.point(index, observations[:index]) == observations[index][0]
        assert anew.point(index, observations[:index]) == observations[index][0], "asked twice"


@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_another_seed_draws_other_points(name: str) -> None:
    tables = [
        [point for point, _ in ran(make_sampler(name, SPACE, seed=seed), 15, likes_sgd)] for seed in (0, 1)
    ]
    assert all(one != other for one, other in zip(*tables, strict=True))
    for table in tables:
        assert len({str(point) for point in table}) == 15, "a point was drawn twice"


@given(
    seed=st.integers(0, 2**32),
    index=st.integers(0, 10_000),
    order=st.permutations([LR, DROP, WIDTH, SIZE, KIND]),
)
def test_random_draws_a_key_by_seed_trial_and_key_alone(seed: int, index: int, order: list[Entry]) -> None:
    whole = Random(order, seed=seed).point(index, [])
    for entry in order:
        alone = Random([entry], seed=seed)
        assert alone.point(index, [])[entry.key] == whole[entry.key]
    assert Random(order, seed=seed).point(index, [(whole, 1.0)]) == whole, "what came of others is looked at"


def test_shares_are_uniform_and_independent_between_keys_trials_and_seeds() -> None:
    streams = {
        "key": [draw_unit(0, index, "optimizer.lr") for index in range(4000)],
        "other key": [draw_unit(0, index, "optimizer.l") for index in range(4000)],
        "seed": [draw_unit(1, index, "optimizer.lr") for index in range(4000)],
        "trial": [draw_unit(seed, 7, "optimizer.lr") for seed in range(4000)],
    }
    for name, shares in streams.items():
        assert all(0 <= share < 1 for share in shares)
        assert kstest(shares, "uniform").pvalue > 0.001, name
    correlations = np.corrcoef(list(streams.values())) - np.eye(4)
    assert abs(correlations).max() < 4 / 4000**0.5
    assert abs(np.corrcoef(streams["key"][1:], streams["key"][:-1])[0, 1]) < 4 / 4000**0.5


def test_conditional_key_counts_only_where_its_condition_is_met() -> None:
    shares = {"optimizer.momentum": 0.5, "optimizer.beta": 0.9}
    entries = [KIND, MOMENTUM, BETA]
    assert point_at(entries, shares | {"optimizer": 0.0}) == {"optimizer": "sgd", "optimizer.momentum": 0.75}
    assert point_at(entries, shares | {"optimizer": 0.3}) == {"optimizer": "adam", "optimizer.beta": 0.99}
    assert point_at(entries, shares | {"optimizer": 0.6}) == {"optimizer": None}


def test_order_of_the_keys_does_not_decide_whether_a_condition_is_met() -> None:
    shares = {"optimizer": 0.0, "optimizer.momentum": 0.5}
    assert point_at([MOMENTUM, KIND], shares) == point_at([KIND, MOMENTUM], shares)


def test_grid_tries_every_combination_once_the_last_key_fastest() -> None:
    grid = Grid([SIZE, Entry("depth", Interval(1, 2, is_integer=True))])
    points = [(point["trainer.batch_size"], point["depth"]) for point in map(grid.point, range(6), [[]] * 6)]
    assert points == [(16, 1), (16, 2), (32, 1), (32, 2), (64, 1), (64, 2)]
    assert len(grid) == 6


def test_grid_counts_a_conditional_key_only_where_it_counts() -> None:
    # Of the 4 kinds only adam has a beta, of which there are 2: (3 + 2) times 3 sizes times 3 depths.
    grid = Grid(COUNTABLE)
    assert len(grid) == 45
    assert len({repr(sorted(grid.point(index, []).items())) for index in range(45)}) == 45


def test_grid_takes_every_whole_number_of_a_log_scale() -> None:
    grid = Grid([WIDTH])
    assert [grid.point(index, [])["model.width"] for index in range(len(grid))] == list(range(1, 65))


def test_grid_over_fractions_is_refused_with_the_way_out() -> None:
    text = (
        "search.space.optimizer.lr: a grid cannot enumerate a continuous interval, got (0.0001, 1.0); write "
        "choice(...) or range(start, stop, step), or use search.sampler=random"
    )
    with refused("search.space.optimizer.lr", got=(1e-4, 1.0), hint="choice(...) or range", text=text):
        Grid([SIZE, LR])


def test_quasi_random_points_spread_more_evenly_than_random_ones() -> None:
    for seed in range(5):
        spread = {}
        for make in (Random, QuasiRandom):
            sampler = make(AXES, seed=seed)
            points = [sampler.point(index, []) for index in range(64)]
            spread[make] = qmc.discrepancy([[point["x"], point["y"]] for point in points])
        assert spread[QuasiRandom] < spread[Random] / 4


def test_first_64_quasi_random_points_fill_every_box_of_a_64th() -> None:
    # A scrambled Sobol sequence is a (0, 6, 2)-net: each elementary box of area 1/64 holds exactly one of 64 points.
    sampler = QuasiRandom(AXES, seed=3)
    points = np.array([[*sampler.point(index, []).values()] for index in range(64)])
    for power in range(7):
        boxes = np.floor(points * [2**power, 2 ** (6 - power)])
        assert len(np.unique(boxes, axis=0)) == 64


@pytest.mark.parametrize("count", [0, 1, START - 1])
def test_tpe_starts_with_the_points_of_random(count: int) -> None:
    observations = [({"x": 0.5, "y": 0.5}, 1.0)] * count
    assert Tpe(AXES, seed=2).point(count, observations) == Random(AXES, seed=2).point(count, [])
    enough = [({"x": 0.5, "y": 0.5}, 1.0)] * START
    assert Tpe(AXES, seed=2).point(START, enough) != Random(AXES, seed=2).point(START, [])


@pytest.mark.parametrize("entry", [LR, WIDTH, DROP], ids=lambda entry: entry.key)
def test_tpe_comes_nearer_to_the_best_share_than_random(entry: Entry) -> None:
    def distance(point: Point) -> float:
        return abs(entry.dimension.to_unit(point[entry.key]) - 0.3)

    means = {}
    for make in (Random, Tpe):
        runs = [
            ran(make([entry], seed=seed), 30, lambda point: -distance(point))[START:] for seed in range(8)
        ]
        means[make] = np.mean([distance(point) for observations in runs for point, _ in observations])
    assert means[Tpe] < 0.7 * means[Random]


def test_tpe_prefers_the_better_choice_and_draws_what_depends_on_it() -> None:
    observations = ran(Tpe(SPACE, seed=0), 40, likes_sgd)[20:]
    kept = [point for point, _ in observations if point["optimizer"] == "sgd"]
    assert len(kept) > 12, "sgd is one of four"
    assert np.mean([point["optimizer.momentum"] for point in kept]) > 0.75


def test_tpe_climbs_when_asked_to() -> None:
    scores = [score for _, score in ran(Tpe(AXES, seed=1), 40, lambda point: point["x"] + point["y"])]
    assert np.mean(scores[30:]) > np.mean(scores[:START]) + 0.3
    assert any(one != other for one, other in pairwise(scores[START:]))


@settings(max_examples=10, deadline=None)
@given(score=st.floats(-1e300, 1e300), index=st.integers(START, 1000))
def test_tpe_takes_any_history_of_equal_scores(score: float, index: int) -> None:
    observations = [(Random(SPACE, seed=0).point(each, []), score) for each in range(START)]
    point = Tpe(SPACE, seed=0).point(index, observations)
    assert all(is_in(entry, point[entry.key]) for entry in SPACE if entry.key in point)
