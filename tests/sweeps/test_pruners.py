"""Pruners: who is best is never stopped, who is judged is judged as Optuna would, and by nothing but the curves."""

from collections import Counter
from collections.abc import Sequence
from math import inf, isnan, nan

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweeps.pruners import PRUNERS, START, Halving, Hyperband, Median, Peer, Pruner, make_pruner
from tests.refusals import refused

WARMUP, FACTOR, MAX_EPOCHS = 2, 2, 9  # rungs after 2, 4 and 8 epochs
JUDGES = pytest.mark.parametrize("name", [name for name in PRUNERS if name != "none"])
SCORES = st.sampled_from([nan, -inf, -1.0, 0.0, 0.25, 0.5, 0.75, 1.0])  # few, so that some are equal
CURVES = st.lists(SCORES, min_size=1, max_size=MAX_EPOCHS).map(tuple)
PEERS = st.lists(
    st.builds(Peer, trial=st.integers(0, 60), curve=CURVES, is_stopped=st.booleans()), max_size=25
)
TRIALS = st.integers(0, 60)


def made(name: str) -> Pruner:
    pruner = make_pruner(name, warmup=WARMUP, factor=FACTOR, max_epochs=MAX_EPOCHS)
    assert pruner is not None
    return pruner


def comparable(score: float) -> float:
    return -inf if isnan(score) else score


def peers_at(epoch: int, scores: Sequence[float], *, is_stopped: bool = False) -> list[Peer]:
    """Return trainings that ended after an epoch with some scores, and were better before."""
    return [
        Peer(trial, (9.0,) * (epoch - 1) + (score,), is_stopped=is_stopped)
        for trial, score in enumerate(scores)
    ]


def drawn_curves(seed: int, count: int) -> list[tuple[float, ...]]:
    """Return noisy curves that rise to different heights; eighths, so that sums are exact and some are equal."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(MAX_EPOCHS // 2, 3 * MAX_EPOCHS, count)
    heights = generator.normal(0, 1, count)
    return [
        tuple(np.round(8 * (height + generator.normal(0, 0.7, length) + np.log1p(np.arange(length)))) / 8)
        for height, length in zip(heights, lengths, strict=True)
    ]


def replayed(pruner: Pruner, curves: Sequence[tuple[float, ...]]) -> list[int]:
    """Return after how many epochs each training ended, one trial after the other."""
    peers: list[Peer] = []
    for trial, curve in enumerate(curves):
        stops = (
            end for end in range(1, len(curve) + 1) if pruner.stops(curve[:end], tuple(peers), trial=trial)
        )
        end = next(stops, None)
        peers.append(Peer(trial, curve[:end], is_stopped=end is not None))
    return [len(peer.curve) for peer in peers]


def replayed_by_optuna(pruner: optuna.pruners.BasePruner, curves: Sequence[tuple[float, ...]]) -> list[int]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", study_name="hyperband", pruner=pruner)
    for curve in curves:
        trial = study.ask()
        for epoch, score in enumerate(curve, start=1):
            trial.report(score, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, curve[-1])
    return [len(trial.intermediate_values) for trial in study.trials]


@pytest.mark.parametrize(
    ("curve", "scores", "is_stopped"),
    [
        ([0.0, 0.2], [0.1, 0.2, 0.3, 0.4, 0.5], True),
        ([0.0, 0.3], [0.1, 0.2, 0.3, 0.4, 0.5], False),  # the median itself
        ([0.3, 0.0], [0.1, 0.2, 0.3, 0.4, 0.5], False),  # its best counts, the peers' 9 before does not
        ([0.0, 0.34], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], True),  # of six: 0.35
        ([0.0, 0.2], [0.3, 0.3, 0.3, 0.3], False),  # too few peers
        ([0.0, 0.2], [nan, 0.3, 0.3, 0.3, 0.3], False),  # too few whose score is defined
        ([0.0, 0.2], [nan, nan, 0.1, 0.2, 0.3, 0.4, 0.5], True),
        ([0.0, 0.3], [nan, nan, 0.1, 0.2, 0.3, 0.4, 0.5], False),
        ([0.0, nan], [0.1, 0.2, 0.3, 0.4, 0.5], True),  # its best is that of the first epoch
        ([nan, nan], [0.1, 0.2, 0.3, 0.4, 0.5], False),
        ([0.0], [0.1, 0.2, 0.3, 0.4, 0.5], False),  # in the warmup
    ],
)
def test_median_stops_who_never_came_up_to_the_middle(
    curve: list[float], scores: list[float], is_stopped: bool
) -> None:
    assert Median(warmup=2).stops(curve, peers_at(len(curve), scores), trial=9) is is_stopped


def test_median_looks_at_peers_that_came_as_far_and_were_not_stopped() -> None:
    pruner = Median(warmup=1)
    rivals = peers_at(2, [0.5] * START)
    assert pruner.stops([0.1, 0.1], rivals, trial=9)
    assert not pruner.stops([0.1, 0.1, 0.1], rivals, trial=9), "none came to epoch 3"
    assert not pruner.stops([0.1, 0.1], rivals[1:] + peers_at(2, [0.5], is_stopped=True), trial=9)
    assert not pruner.stops([0.6, 0.1], rivals + peers_at(2, [0.9] * 9, is_stopped=True), trial=9)


@pytest.mark.parametrize(
    ("curve", "scores", "is_stopped"),
    [
        ([0.0, 0.5], [0.1, 0.2, 0.3, 0.4, 0.6], False),  # 2 of 6 go on
        ([0.0, 0.4], [0.1, 0.2, 0.3, 0.4, 0.6], False),  # as good as the second
        ([0.0, 0.3], [0.1, 0.2, 0.3, 0.4, 0.6], True),
        ([0.7, 0.3], [0.1, 0.2, 0.3, 0.4, 0.6], True),  # its best does not count
        ([0.0, 0.5], [0.1, 0.2, 0.3, 0.6], True),  # 1 of 5
        ([0.0, 0.5], [0.6], True),  # and at least one
        ([0.0, 0.5], [0.4], False),
        ([0.0, nan], [0.4], False),
        ([0.0, 0.3], [nan, nan, nan, nan, 0.6], True),  # two have a score
        ([0.0, 0.0, 0.0], [0.6] * 5, False),  # epochs 3 to 5 and 7 are between rungs
        ([0.0, 0.0, 0.0, 0.0], [0.6] * 5, False),
        ([0.0, 0.0, 0.0, 0.0, 0.0], [0.6] * 5, False),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.6] * 5, True),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.6] * 5, False),
        ([0.0] * 12, [0.6] * 5, False),  # twice the second rung, not three times
        ([0.0] * 18, [0.6] * 5, True),
        ([0.0], [0.6] * 5, False),
    ],
)
def test_halving_promotes_one_in_three_at_a_rung(
    curve: list[float], scores: list[float], is_stopped: bool
) -> None:
    for ended in (False, True):  # a peer that was stopped at the rung has come there
        rivals = peers_at(len(curve), scores, is_stopped=ended)
        assert Halving(warmup=2, factor=3).stops(curve, rivals, trial=9) is is_stopped


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("warmup", [1, 4])
def test_median_stops_where_optuna_does(seed: int, warmup: int) -> None:
    curves = drawn_curves(seed, 40)
    ends = replayed(Median(warmup=warmup), curves)
    theirs = optuna.pruners.MedianPruner(n_startup_trials=START, n_warmup_steps=warmup, n_min_trials=START)
    assert ends == replayed_by_optuna(theirs, curves)
    assert 0 < sum(end < len(curve) for end, curve in zip(ends, curves, strict=True)) < 40 - START


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("warmup", "factor"), [(1, 2), (3, 2), (1, 3), (2, 4)])
def test_halving_stops_where_optuna_does(seed: int, warmup: int, factor: int) -> None:
    curves = drawn_curves(seed, 40)
    ends = replayed(Halving(warmup=warmup, factor=factor), curves)
    theirs = optuna.pruners.SuccessiveHalvingPruner(min_resource=warmup, reduction_factor=factor)
    assert ends == replayed_by_optuna(theirs, curves)
    assert 0 < sum(end < len(curve) for end, curve in zip(ends, curves, strict=True)) < 40


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("warmup", "factor", "max_epochs"), [(1, 2, 20), (2, 3, 26), (1, 3, 27)])
def test_hyperband_stops_where_optuna_does(seed: int, warmup: int, factor: int, max_epochs: int) -> None:
    curves = drawn_curves(seed, 60)
    ends = replayed(Hyperband(warmup=warmup, factor=factor, max_epochs=max_epochs), curves)
    theirs = optuna.pruners.HyperbandPruner(warmup, max_epochs, factor)
    assert ends == replayed_by_optuna(theirs, curves)
    assert 0 < sum(end < len(curve) for end, curve in zip(ends, curves, strict=True)) < 60


@JUDGES
@given(peers=PEERS, trial=TRIALS)
def test_best_so_far_is_never_stopped(name: str, peers: list[Peer], trial: int) -> None:
    best = [
        max([comparable(peer.curve[epoch]) for peer in peers if len(peer.curve) > epoch], default=nan)
        for epoch in range(MAX_EPOCHS)
    ]
    for end in range(1, MAX_EPOCHS + 1):
        assert not made(name).stops(best[:end], peers, trial=trial)


@JUDGES
@given(curve=CURVES, trial=TRIALS)
def test_without_peers_nothing_is_stopped(name: str, curve: tuple[float, ...], trial: int) -> None:
    assert not made(name).stops(curve, [], trial=trial)


@JUDGES
@given(curve=CURVES, peers=PEERS, trial=TRIALS, data=st.data())
def test_order_of_peers_does_not_matter(
    name: str, curve: tuple[float, ...], peers: list[Peer], trial: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(peers))
    assert made(name).stops(curve, shuffled, trial=trial) == made(name).stops(curve, peers, trial=trial)


@JUDGES
@given(curve=CURVES, peers=PEERS, trial=TRIALS)
def test_undefined_score_stops_no_training_and_is_compared_with_none(
    name: str, curve: tuple[float, ...], peers: list[Peer], trial: int
) -> None:
    epoch = len(curve)
    scored = [peer for peer in peers if len(peer.curve) < epoch or not isnan(peer.curve[epoch - 1])]
    assert made(name).stops(curve, peers, trial=trial) == made(name).stops(curve, scored, trial=trial)
    assert not made(name).stops((nan,) * epoch, peers, trial=trial)


@JUDGES
def test_worst_of_all_goes_through_the_warmup_and_no_further(name: str) -> None:
    peers = [Peer(trial, (1.0,) * MAX_EPOCHS, is_stopped=False) for trial in range(60)]
    worst = (0.0,) * MAX_EPOCHS
    ends = [
        next(end for end in range(1, MAX_EPOCHS + 1) if made(name).stops(worst[:end], peers, trial=trial))
        for trial in range(60)
    ]
    assert min(ends) == WARMUP
    assert set(ends) == ({2, 4, 8} if name == "hyperband" else {2})


@given(curve=CURVES, peers=PEERS, trial=TRIALS)
def test_bracket_is_halving_among_its_own_trials(
    curve: tuple[float, ...], peers: list[Peer], trial: int
) -> None:
    hyperband = Hyperband(warmup=1, factor=2, max_epochs=MAX_EPOCHS)
    bracket = hyperband.bracket(trial)
    alone = Halving(warmup=2**bracket, factor=2)
    own = [peer for peer in peers if hyperband.bracket(peer.trial) == bracket]
    assert hyperband.stops(curve, peers, trial=trial) == alone.stops(curve, own, trial=trial)


@pytest.mark.parametrize(
    ("warmup", "factor", "max_epochs", "shares"),
    [
        (1, 3, 81, [81, 34, 15, 8, 5]),  # ceil of 5 * 3**s / (s + 1), s = 4 to 0
        (1, 3, 243, [243, 98, 41, 18, 9, 6]),  # a logarithm would count 5
        (2, 3, 53, [9, 5, 3]),
        (5, 4, 19, [1]),
    ],
)
def test_brackets_get_their_shares_of_the_trials(
    warmup: int, factor: int, max_epochs: int, shares: list[int]
) -> None:
    hyperband = Hyperband(warmup=warmup, factor=factor, max_epochs=max_epochs)
    assert hyperband.shares == shares
    rounds = 40
    counts = Counter(hyperband.bracket(trial) for trial in range(rounds * sum(shares)))
    assert sorted(counts) == list(range(len(shares)))
    for bracket, share in enumerate(shares):
        assert counts[bracket] == pytest.approx(rounds * share, rel=0.15), bracket


def test_bracket_sees_every_value_of_a_grid() -> None:
    hyperband = Hyperband(warmup=1, factor=2, max_epochs=4)  # shares of 10 trials
    for num_values in (2, 5, 10):
        seen = {(hyperband.bracket(trial), trial % num_values) for trial in range(200)}
        assert len(seen) == 3 * num_values


def test_every_name_is_a_pruner_and_none_is_none() -> None:
    kinds = {"none": type(None), "median": Median, "halving": Halving, "hyperband": Hyperband}
    for name in PRUNERS:
        assert type(make_pruner(name, warmup=1, factor=3, max_epochs=9)) is kinds[name]
    assert make_pruner("none", warmup=9, factor=3, max_epochs=9) is None


@JUDGES
def test_warmup_as_long_as_the_training_is_refused(name: str) -> None:
    text = (
        "search.warmup must be below trainer.max_epochs=9 for trainings to be stopped early, got 9; choose fewer "
        "epochs, or search.pruner=none"
    )
    allowed = "below trainer.max_epochs=9 for trainings to be stopped early"
    with refused("search.warmup", got=9, allowed=allowed, hint="search.pruner=none", text=text):
        make_pruner(name, warmup=9, factor=3, max_epochs=9)
