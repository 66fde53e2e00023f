"""Splits by name: shares in expectation, and no file ever moves."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.splits import split_by_name

SHARES = {"val": 0.2, "test": 0.1, "seed": 0}
NAMES = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 3), max_size=20)


def test_shares_are_about_right_in_each_class() -> None:
    labels = {f"{label}/{index}.png": label for label in range(2) for index in range(5000)}
    splits = split_by_name(labels, SHARES)
    for label in range(2):
        counts = Counter(split for name, split in splits.items() if labels[name] == label)
        # 4 standard deviations of a binomial count: sqrt(5000 * 0.2 * 0.8) = 28, sqrt(5000 * 0.1 * 0.9) = 21
        assert counts["val"] == pytest.approx(1000, abs=4 * 28)
        assert counts["test"] == pytest.approx(500, abs=4 * 21)
        assert counts.total() == 5000


@settings(deadline=None)
@given(before=NAMES, added=NAMES, seed=st.integers(0, 100))
def test_no_file_moves_when_others_are_added(
    before: dict[str, int], added: dict[str, int], seed: int
) -> None:
    shares = SHARES | {"seed": seed}
    later = split_by_name({**added, **before}, shares)
    assert split_by_name(before, shares) == {name: later[name] for name in before}


@settings(deadline=None)
@given(labels=NAMES)
def test_a_larger_val_share_takes_from_train_alone(labels: dict[str, int]) -> None:
    small, large = (split_by_name(labels, SHARES | {"val": share}) for share in (0.2, 0.5))
    moved = {(small[name], large[name]) for name in labels if small[name] != large[name]}
    assert moved <= {("train", "val")}


def test_another_seed_draws_another_split() -> None:
    labels = dict.fromkeys(map(str, range(200)), 0)
    draws = [split_by_name(labels, SHARES | {"seed": seed}) for seed in (0, 1, 0)]
    assert draws[0] == draws[2]
    assert draws[0] != draws[1]
