"""Shares of splits: where they differ from the declared ones, that is said with a way out, as are missing classes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.shares import Shares, check_counts, measure_shares
from pipeline.data.sources import Sample, load_source, open_source
from pipeline.data.splits import split_by_name
from pipeline.inspection.inspected import inspect_data
from tests.makers import data_section, write_class_folders, write_files
from tests.refusals import refused

SPLIT = {"val": 0.15, "test": 0.15, "seed": 0}


def measure(
    labels: dict[str, int], *, groups: str | None = None, split: Any = SPLIT, classes: Any = ("cat", "dog")
) -> tuple[Facts, Shares]:
    """Measure the shares of drawn splits, as they come out for names such as `p3_0017`, whose group is p3."""
    facts = Facts(**data_section("images", split=split, groups=groups, classes=list(classes)))
    assert facts.shares is not None
    of_groups = None if groups is None else {name: name.partition("_")[0] for name in labels}
    drawn = split_by_name(labels, facts.shares, groups=of_groups)
    samples = [Sample(name, drawn[name], target=label) for name, label in labels.items()]
    return facts, measure_shares(samples, facts, lambda sample: int(sample.target))


def make_labels(num_groups: int, size: int) -> dict[str, int]:
    return {f"p{group}_{index:04}": index % 2 for group in range(num_groups) for index in range(size)}


def test_declared_shares_need_no_word() -> None:
    _, shares = measure(make_labels(1, 1000))
    assert (shares.notes, shares.warnings) == ([], [])
    assert shares.sizes() == {"train": 700, "val": 150, "test": 150}


def test_small_differences_are_noted() -> None:
    _, shares = measure(make_labels(1, 1001), split={"val": 0.15, "test": 0.1, "seed": 0})
    _, rounded = measure(make_labels(1, 24))
    assert shares.warnings == rounded.warnings == []
    assert shares.notes == []  # none after rounding to tenths of a percent
    assert rounded.notes == [
        "data.split: of 24 images, 16.7% val (asked: 15.0%) and 16.7% test (asked: 15.0%)"
    ]


def test_groups_that_leave_far_less_than_asked_are_warned_of_with_a_seed_that_does_not() -> None:
    labels = make_labels(20, 20)
    found = {}
    for seed in range(30):
        _, shares = measure(labels, groups=r"p\d+", split=SPLIT | {"seed": seed})
        is_far = any(abs(shares.sizes()[split] - 60) > 15 for split in ("val", "test"))
        assert is_far == bool(shares.warnings)
        if shares.warnings:
            assert shares.better is not None
            _, better = measure(labels, groups=r"p\d+", split=shares.better)
            assert max(abs(better.sizes()[split] - 60) for split in ("val", "test")) == 0
            found[seed] = shares
    assert 0 < len(found) < 30
    shares = next(shares for shares in found.values() if len(shares.warnings) == 1)
    split = next(split for split in ("val", "test") if abs(shares.sizes()[split] - 60) > 15)
    assert shares.better is not None
    assert shares.warnings[0].startswith(
        f"data.split: {shares.sizes()[split] / 400:.1%} of the images are in {split}, and 15.0% were asked, as groups "
        f"are drawn as wholes; data.split={{val: 0.15, test: 0.15, seed: {shares.better['seed']}}} draws "
    )


def test_classes_that_a_split_lacks_are_named() -> None:
    labels = make_labels(1, 400) | {"bee": 2}
    _, shares = measure(labels, classes=["cat", "dog", "bee"])
    assert shares.warnings[0] == "data.split: val has no image of class 'bee'"
    assert shares.warnings[1].startswith("data.split: test has no image of class 'bee'; ")
    classes = [f"c{index}" for index in range(30)]
    _, shares = measure(make_labels(1, 400), classes=classes)
    names = ", ".join(f"'{name}'" for name in classes[2:12])
    assert shares.warnings[0] == f"data.split: val has no image of class {names} and 18 more"


def test_splits_that_were_not_drawn_are_not_compared_but_lack_classes_too() -> None:
    facts = Facts(**data_section("images"))
    samples = [Sample("a", "train", 0), Sample("b", "train", 1), Sample("c", "val", 1), Sample("d", "val", 0)]
    assert measure_shares(samples, facts, lambda sample: int(sample.target)).warnings == []
    shares = measure_shares(samples[:3], facts, lambda sample: int(sample.target))
    assert shares.warnings == ["data.split: val has no image of class 'cat'"]
    check_counts(shares, facts)  # no test split is declared
    assert measure_shares(samples[:3], facts, lambda _: None).warnings == []


def test_split_that_no_group_was_drawn_into_is_refused_with_a_seed_that_draws_some() -> None:
    labels = make_labels(6, 40)
    draws = (measure(labels, groups=r"p\d+", split=SPLIT | {"seed": seed}) for seed in range(100))
    facts, shares = next((facts, shares) for facts, shares in draws if not shares.sizes()["test"])
    assert shares.better is not None
    text = f"{{val: 0.15, test: 0.15, seed: {shares.better['seed']}}}"
    with refused("data.root", hint=f"set data.split={text}, which draws some for each") as caught:
        check_counts(shares, facts)
    assert caught.value.problem == "images has no image in the test split"
    better = replace(facts, split=dict(shares.better))
    _, shares = measure(labels, groups=r"p\d+", split=better.split)
    check_counts(shares, better)


@pytest.mark.parametrize("split", [{"val": 0.2, "seed": 0}, {"val": 0.2, "test": None, "seed": 0}])
def test_without_a_test_share_only_val_is_compared(split: dict[str, Any]) -> None:
    facts, shares = measure(make_labels(1, 100), split=split)
    assert Counter(shares.sizes()) == {"train": 80, "val": 20, "test": 0}
    assert (shares.notes, shares.warnings) == ([], [])
    check_counts(shares, facts)


@pytest.mark.parametrize("data_format", ["image_masks", "class_masks"])
def test_suggested_seed_draws_what_it_says_for_masks(data_format: str, tmp_path: Path) -> None:
    masks = "masks" if data_format == "image_masks" else "masks/cat"
    names = [f"{folder}/{n}.png" for n in range(6) for folder in ("images", masks)]
    root = write_files(tmp_path / "data", dict.fromkeys(names, b""))

    def draw(split: Any) -> Shares:
        facts = Facts(**data_section(root, format=data_format, split=split))
        with open_source(facts) as archive:
            return measure_shares(load_source(data_format).samples(archive, facts), facts, lambda _: None)

    drawn = [shares for seed in range(30) if (shares := draw(SPLIT | {"seed": seed})).warnings]
    assert drawn
    for shares in drawn:
        assert shares.better is not None
        sizes = draw(shares.better).sizes()
        assert f"draws {sizes['val'] / 6:.1%} val (asked: 15.0%)" in shares.warnings[-1]
        assert f"{sizes['test'] / 6:.1%} test (asked: 15.0%)" in shares.warnings[-1]


@pytest.mark.parametrize("is_inspected", [False, True])
def test_data_set_without_images_is_refused_where_splits_are_drawn(
    is_inspected: bool, tmp_path: Path
) -> None:
    facts = Facts(**data_section(write_files(tmp_path / "data", {"notes.txt": b""}), split=SPLIT))
    with refused("data.root") as caught:
        if is_inspected:
            inspect_data(facts, tmp_path / "seen")
        else:
            write_prepared(facts, tmp_path, data_digest="")
    what = "no images" if is_inspected else "no image in the train split"
    assert caught.value.problem == f"{facts.root} has {what}"


def test_without_test_images_there_is_no_test_split(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data", splits=["train", "val"])
    facts = Facts(**data_section(tmp_path / "data"))
    write_prepared(facts, tmp_path, data_digest="")
    prepared = Prepared.open(tmp_path, facts)
    assert prepared.about()["counts"] == {"train": 6, "val": 6, "test": 0}
    assert not list(tmp_path.glob("test_*"))
    assert prepared.files("test") == []
