"""Shares of an epoch in a distributed run: even in training, complete in validation."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import batches
from pipeline.data.batches import EpochBatches


def list_shares(
    count: int, world: int, *, seed: int | None, size: int = 3, epoch: int = 0
) -> tuple[list[list[int]], list[int]]:
    """Return the samples of each rank, and how many batches each has."""
    shares, lengths = [], []
    for rank in range(world):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "_place", lambda place=(rank, world): place)
            sampler = EpochBatches(count, batch_size=size, seed=seed)
            sampler.set_epoch(epoch)
            requests = list(sampler)
            assert len(requests) == len(sampler)
        shares.append([index for _, indices in requests for index in indices])
        lengths.append(len(requests))
    return shares, lengths


@pytest.mark.parametrize("size", [2, 3])
@settings(deadline=None)
@given(count=st.integers(1, 40), world=st.integers(1, 5), epoch=st.integers(0, 3))
def test_training_shares_are_even_and_together_complete(
    size: int, count: int, world: int, epoch: int
) -> None:
    shares, lengths = list_shares(count, world, seed=1, size=size, epoch=epoch)
    assert len(set(lengths)) == 1
    assert len({len(share) for share in shares}) == 1
    seen = Counter(index for share in shares for index in share)
    assert set(seen) == set(range(count))
    assert seen.total() - count == -count % world, "more than the tail was filled"
    whole = list_shares(count, 1, seed=1, epoch=epoch)[0][0]
    filled = np.resize(whole, seen.total())
    np.testing.assert_array_equal(np.stack(shares, axis=1).ravel(), filled)


@settings(deadline=None)
@given(count=st.integers(1, 40), world=st.integers(1, 5))
def test_validation_shares_hold_each_sample_once(count: int, world: int) -> None:
    shares, _ = list_shares(count, world, seed=None)
    assert sorted(index for share in shares for index in share) == list(range(count))


def test_place_is_that_of_torch_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batches._place() == (0, 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    assert batches._place() == (2, 3)
