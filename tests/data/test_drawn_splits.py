"""Drawn splits: the shares of every class, no image that ever moves between test and train, and whole groups."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.splits import split_by_name

SHARES = {"val": 0.2, "test": 0.1, "seed": 0}
NAMES = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 3), max_size=20)


def count(labels: Mapping[str, int], drawn: Mapping[str, str]) -> Counter[tuple[int, str]]:
    return Counter((labels[name], split) for name, split in drawn.items())


def draw(labels: Mapping[str, int], shares: Mapping[str, float] = SHARES, **groups: Any) -> dict[str, str]:
    return split_by_name(labels, shares, **{"groups": None, **groups})


@pytest.mark.parametrize("sizes", [(1000, 100), (1000, 1000, 1000), (400, 90, 5000)])
def test_every_class_has_the_declared_shares(sizes: Sequence[int]) -> None:
    labels = {f"{label}/{index}.png": label for label, size in enumerate(sizes) for index in range(size)}
    for seed in range(5):
        counts = count(labels, draw(labels, SHARES | {"seed": seed}))
        for label, size in enumerate(sizes):
            assert [counts[label, split] for split in ("val", "test")] == [size // 5, size // 10]


@pytest.mark.parametrize("each", [1, 2, 3, 4, 6, 9])
def test_many_classes_of_few_images_have_the_shares_together(each: int) -> None:
    labels = {f"{label}/{index}.png": label for label in range(1000) for index in range(each)}
    counts = Counter(draw(labels).values())
    assert counts["test"] == pytest.approx(100 * each, abs=0.02 * len(labels))
    assert counts["train"] == pytest.approx(700 * each, abs=0.02 * len(labels))


def is_kept(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Return whether no name went from test to train, nor from train to test."""
    return all({before[name], after[name]} != {"test", "train"} for name in before.keys() & after.keys())


@pytest.mark.parametrize("is_grouped", [False, True])
@pytest.mark.parametrize("shares", [SHARES, {"val": 0.02, "test": 0.3}, {"val": 0.6, "test": 0.3}])
def test_no_image_moves_between_test_and_train_in_thousands_of_additions(
    shares: dict[str, float], is_grouped: bool
) -> None:
    random = np.random.default_rng(0)
    for seed in range(10):
        ever: dict[str, set[str]] = defaultdict(set)
        labels: dict[str, int] = {}
        groups: dict[str, str] = {}
        for index in range(150):
            name = f"{random.integers(30)}_{index}.png"
            labels[name], groups[name] = int(random.random() < random.random() ** 3), name.partition("_")[0]
            drawn = draw(labels, {**shares, "seed": seed}, groups=groups if is_grouped else None)
            for file, split in drawn.items():
                ever[file].add(split)
        assert all(not {"test", "train"} <= splits for splits in ever.values())
        assert {split for splits in ever.values() for split in splits} == {"train", "val", "test"}


@settings(deadline=None)
@given(before=NAMES, after=NAMES, seed=st.integers(0, 100))
def test_no_image_moves_between_test_and_train_whatever_the_others_are(
    before: dict[str, int], after: dict[str, int], seed: int
) -> None:
    shares = SHARES | {"seed": seed}
    assert is_kept(draw(before, shares), draw(after, shares))


def test_few_images_move_when_some_are_added() -> None:
    labels = {f"{index}.png": index % 3 for index in range(3000)}
    more = labels | {f"new{index}.png": index % 3 for index in range(30)}
    before, after = draw(labels), draw(more)
    assert sum(before[name] != after[name] for name in before) <= 20


def test_class_of_an_image_does_not_decide_whether_it_may_be_tested_on() -> None:
    labels = {f"{index}.png": index % 3 for index in range(3000)}
    assert is_kept(draw(labels), draw({name: label + 1 for name, label in labels.items()}))
    assert is_kept(draw(labels), draw({name: index % 7 for index, name in enumerate(labels)}))


def test_without_a_test_share_there_is_no_test_split() -> None:
    labels = {f"{index}.png": index % 2 for index in range(200)}
    counts = count(labels, draw(labels, {"val": 0.15, "seed": 0}))
    assert counts == {(0, "val"): 15, (1, "val"): 15, (0, "train"): 85, (1, "train"): 85}


def test_another_seed_draws_another_split() -> None:
    labels = dict.fromkeys(map(str, range(200)), 0)
    draws = [draw(labels, SHARES | {"seed": seed}) for seed in (0, 1, 0)]
    assert draws[0] == draws[2]
    assert draws[0] != draws[1]


def test_order_of_files_does_not_matter() -> None:
    labels = {f"{index}.png": index % 3 for index in range(300)}
    groups = {name: name[0] + name[-5] for name in labels}
    turned = dict(reversed(labels.items()))
    assert draw(labels) == draw(turned)
    assert draw(labels, groups=groups) == draw(turned, groups=groups)


@pytest.mark.parametrize("num_groups", [100, 300, 1000])
def test_groups_stay_whole_and_every_class_is_near_the_declared_shares(num_groups: int) -> None:
    random = np.random.default_rng(0)
    labels, groups = {}, {}
    for group in range(num_groups):
        share = random.random()
        for index in range(random.integers(2, 40)):
            name = f"{group}_{index}.png"
            labels[name], groups[name] = int(random.random() < share), str(group)
    for seed in range(5):
        drawn = draw(labels, {"val": 0.2, "test": 0.2, "seed": seed}, groups=groups)
        assert len({(groups[name], split) for name, split in drawn.items()}) == num_groups
        counts, sizes = count(labels, drawn), Counter(labels.values())
        for split, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            of_all = sum(counts[label, split] for label in sizes) / len(labels)
            assert of_all == pytest.approx(share, abs=3 / num_groups)
            for label, size in sizes.items():
                assert counts[label, split] / size == pytest.approx(share, abs=0.05)


def test_time_to_draw_grows_with_the_number_of_names_alone() -> None:
    labels = {f"class{index % 1000}/{index}.png": index % 1000 for index in range(50_000)}
    started = time.process_time()
    counts = Counter(draw(labels).values())
    assert time.process_time() - started < 5  # a quarter of a second on an idle core
    assert counts["test"] == pytest.approx(5000, abs=500)
