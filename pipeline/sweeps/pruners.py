"""Pruners: which training is stopped early, given the curves of earlier ones.

A decision depends only on the curves and the trial's index, so that a resumed search makes the same decisions. A curve
has one score per epoch, higher is better. A score that is NaN is not defined, as Dice of empty masks is not: it
stops no training, and nothing is compared with it.
"""

from __future__ import annotations

from binascii import crc32
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isnan
from statistics import median
from typing import Protocol

from pipeline.errors import ConfigError

PRUNERS = ("none", "median", "halving", "hyperband")

START = 5  # peers that the median needs


@dataclass(frozen=True)
class Peer:
    """One training of an earlier trial that has ended.

    Args:
        trial: index of its trial.
        curve: its scores, one per epoch, up to where it was stopped.
        is_stopped: whether a pruner ended it.
    """

    trial: int
    curve: tuple[float, ...]
    is_stopped: bool


class Pruner(Protocol):
    """A rule that stops trainings early."""

    def stops(self, curve: Sequence[float], peers: Sequence[Peer], *, trial: int) -> bool:
        """Return whether a training ends after its latest epoch; to be called after each epoch but the last.

        Args:
            curve: its scores so far, at least one.
            peers: trainings of earlier trials, in any order; without peers, nothing is stopped.
            trial: index of its trial.
        """
        ...


class Median:
    """Stop a training whose best score is below the median of its peers' scores at the same epoch.

    Source: Golovin et al. 2017, Google Vizier, doi:10.1145/3097983.3098043, "Median Stopping Rule".
    Unlike the paper, and like Optuna's MedianPruner, it uses a peer's score at that epoch, not its mean up to it, and
    ignores stopped peers.

    Args:
        warmup: epochs before the first judgement, at least 1.
    """

    def __init__(self, *, warmup: int) -> None:
        self._warmup = warmup

    def stops(self, curve: Sequence[float], peers: Sequence[Peer], *, trial: int) -> bool:  # noqa: ARG002
        """Return whether a training ends after its latest epoch."""
        scores = _scores_at(len(curve), [peer for peer in peers if not peer.is_stopped])
        own = [score for score in curve if not isnan(score)]
        if len(curve) < self._warmup or len(scores) < START or not own:
            return False
        return max(own) < median(scores)


class Halving:
    """Stop a training at a rung unless it is among the best 1/factor of all that reached it, itself included.

    Source: Li et al. 2020, asynchronous successive halving, arXiv:1810.05934, algorithm 2.
    Unlike the paper, and like Optuna's SuccessiveHalvingPruner, nothing is paused: a training that is not promoted on
    arrival ends; and where fewer than `factor` have arrived, the best continues. Ties continue. The score at a rung is
    that of its epoch, not the best so far.

    Args:
        warmup: epochs before the first rung, at least 1; rung k comes after warmup * factor**k epochs.
        factor: one in `factor` trainings continues; at least 2.
    """

    def __init__(self, *, warmup: int, factor: int) -> None:
        self._warmup = warmup
        self._factor = factor

    def stops(self, curve: Sequence[float], peers: Sequence[Peer], *, trial: int) -> bool:  # noqa: ARG002
        """Return whether a training ends after its latest epoch."""
        score = curve[-1]
        if not self._is_rung(len(curve)) or isnan(score):
            return False
        scores = sorted([score, *_scores_at(len(curve), peers)], reverse=True)
        num_promoted = max(len(scores) // self._factor, 1)
        return score < scores[num_promoted - 1]

    def _is_rung(self, epoch: int) -> bool:
        rung = self._warmup
        while rung < epoch:
            rung *= self._factor
        return rung == epoch


class Hyperband:
    """Successive halving in brackets with different first rungs, in case early epochs are misleading.

    Source: Li et al. 2018, JMLR 18, arXiv:1603.06560, algorithm 1.
    Unlike the paper, and like Optuna's HyperbandPruner, the brackets are filled concurrently, each with its share of
    the trials, and halve asynchronously.

    Args:
        warmup: epochs before the first rung of the first bracket, at least 1; that of bracket b comes after
            warmup * factor**b.
        factor: one in `factor` trainings continues; at least 2.
        max_epochs: epochs of a training that is not stopped, at least `warmup`.
    """

    def __init__(self, *, warmup: int, factor: int, max_epochs: int) -> None:
        # Not by a logarithm: in floating point, log(243) to the base 3 is below 5, and a bracket would be lost.
        first_rungs = [warmup]
        while first_rungs[-1] * factor <= max_epochs:
            first_rungs.append(first_rungs[-1] * factor)
        self.brackets = [Halving(warmup=rung, factor=factor) for rung in first_rungs]
        num_brackets = len(self.brackets)
        # ceil((s_max + 1) * factor**s / (s + 1)) trials in the bracket that is halved s times
        self.shares = [
            -(-num_brackets * factor**num_halvings // (num_halvings + 1))
            for num_halvings in reversed(range(num_brackets))
        ]

    def bracket(self, trial: int) -> int:
        """Return the bracket of a trial, counted from 0, the one that stops the earliest.

        Trials are assigned by a hash; round-robin would give a bracket every n-th point: the same values of a grid.
        """
        # Optuna's own hash for a study of this name
        place = crc32(f"hyperband_{trial}".encode()) % sum(self.shares)
        return bisect(list(accumulate(self.shares)), place)

    def stops(self, curve: Sequence[float], peers: Sequence[Peer], *, trial: int) -> bool:
        """Return whether a training ends after its latest epoch, compared with the peers of its bracket."""
        bracket = self.bracket(trial)
        rivals = [peer for peer in peers if self.bracket(peer.trial) == bracket]
        return self.brackets[bracket].stops(curve, rivals, trial=trial)


def make_pruner(name: str, *, warmup: int, factor: int, max_epochs: int) -> Pruner | None:
    """Return a pruner by its name, one of `PRUNERS`; None for "none".

    Args:
        name: as in `PRUNERS`.
        warmup: epochs before the first judgement, at least 1.
        factor: one in `factor` trainings continues at a rung; at least 2.
        max_epochs: epochs of a training that is not stopped.

    Raises:
        ConfigError: the trainings end before the first judgement.
    """
    assert name in PRUNERS
    if name == "none":
        return None
    assert warmup >= 1
    assert factor >= 2
    if warmup >= max_epochs:
        raise ConfigError(
            "search.warmup",
            got=warmup,
            allowed=f"below trainer.max_epochs={max_epochs} for trainings to be stopped early",
            hint="choose fewer epochs, or search.pruner=none",
        )
    if name == "median":
        return Median(warmup=warmup)
    if name == "halving":
        return Halving(warmup=warmup, factor=factor)
    return Hyperband(warmup=warmup, factor=factor, max_epochs=max_epochs)


def _scores_at(epoch: int, peers: Sequence[Peer]) -> list[float]:
    """Return the scores that are defined of the peers that reached an epoch, counted from 1."""
    scores = (peer.curve[epoch - 1] for peer in peers if len(peer.curve) >= epoch)
    return [score for score in scores if not isnan(score)]
