"""Groups found in names, and folds: every image is validated once, groups stay whole, classes are shared out alike."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.data import splits
from pipeline.data.archive import opened
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, load_source
from pipeline.data.splits import find_group, fold_samples
from tests.makers import data_section
from tests.refusals import refused

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("pattern", "file", "group"),
    [
        (r"form\d+", "train/3/form04_0516.png", "form04"),
        (r"_(p\d+)_", "cat/a_p12_7.png", "p12"),
        (r"(?:scan|mri)_\d+", "images/mri_3_b.png", "mri_3"),
        (r"^images/(\w+)/", "images/anna/3.png", "anna"),
    ],
)
def test_group_is_the_text_of_the_capturing_group_or_of_the_whole_match(
    pattern: str, file: str, group: str
) -> None:
    assert find_group(file, pattern) == group


@pytest.mark.parametrize("pattern", [r"form\d+", r"x*", r"form(\d*)", r"(p\d+)?_1", ""])
def test_image_without_a_group_is_refused_by_name_with_the_expression(pattern: str) -> None:
    text = (
        f"data.groups: no group found in the name cat/form_1.png, got {pattern!r}; rename the file, or write an "
        "expression that finds a group in every name"
    )
    with refused("data.groups", got=pattern, text=text):
        find_group("cat/form_1.png", pattern)


def make_samples(target: str, *, num_files: int, num_groups: int) -> list[Sample]:
    """Make classes 0 and 1 of 3 : 1, each 8th image for the test split, in groups that no folder cuts."""
    made = []
    for index in range(num_files):
        split = ["train", "train", "val"][index % 3]
        name = f"{split}/p{index % num_groups:03}_{index:04}.png"
        made.append(Sample(name, split, target=int(index % 8 < 2) if target == "label" else f"m{index}"))
    return made + [replace(each, file=f"test/{each.file}", split="test") for each in made[::8]]


def read_facts(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())
    return facts


def read_samples(name: str) -> list[Sample]:
    facts = read_facts(name)
    if not (ROOT / facts["root"]).exists():
        pytest.skip(f"{facts['root']} is absent: run make data")
    section = data_section("images", format=facts["format"], classes=facts["classes"])
    with opened(ROOT / facts["root"]) as archive:
        return load_source(facts["format"]).samples(archive, Facts(**section))


def fold(samples: Sequence[Sample], index: int, of: int, groups: str | None, **changes: Any) -> list[Sample]:
    section = data_section("images", groups=groups, fold={"index": index, "of": of}, **changes)
    return fold_samples(samples, Facts(**section), stratum)


def stratum(sample: Sample) -> int | None:
    return sample.target if isinstance(sample.target, int) else None


def in_split(samples: Sequence[Sample], split: str) -> list[str]:
    return [sample.file for sample in samples if sample.split == split]


DIGITS, BRAIN = read_facts("digits"), read_facts("brain")
TEN: dict[str, Any] = {"classes": DIGITS["classes"]}
CASES = [
    # what is cut                                                      groups         of  further facts
    (lambda: make_samples("label", num_files=160, num_groups=160), None, 5, {}),
    (lambda: make_samples("label", num_files=160, num_groups=31), r"p\d+", 4, {}),
    (lambda: make_samples("mask", num_files=50, num_groups=50), None, 7, {}),
    (lambda: make_samples("mask", num_files=50, num_groups=9), r"p\d+", 2, {}),
    (lambda: read_samples("digits"), DIGITS["groups"], 5, TEN),
    (lambda: read_samples("digits"), DIGITS["groups"], 11, TEN),  # one form each
    (lambda: read_samples("brain"), BRAIN["groups"], 5, {}),
]
ARGUMENTS = ("samples_of", "groups", "of", "more")
EACH_CASE = pytest.mark.parametrize(ARGUMENTS, CASES)


@EACH_CASE
def test_every_image_of_train_and_val_is_validated_once_over_the_folds(
    samples_of: Any, groups: str | None, of: int, more: Any
) -> None:
    samples = samples_of()
    validated = Counter[str]()
    for index in range(of):
        folded = fold(samples, index, of, groups, **more)
        validated.update(in_split(folded, "val"))
        assert in_split(folded, "test") == in_split(samples, "test")
        assert [replace(each, split="") for each in folded] == [replace(each, split="") for each in samples]
        assert {sample.split for sample in folded} == {"train", "val", "test"}
    assert validated == Counter(in_split(samples, "train") + in_split(samples, "val"))


@pytest.mark.parametrize(ARGUMENTS, [case for case in CASES if case[1] is not None])
def test_no_fold_cuts_a_group(samples_of: Any, groups: str, of: int, more: Any) -> None:
    samples = samples_of()
    for index in range(of):
        folded = fold(samples, index, of, groups, **more)
        train, val = (
            {find_group(file, groups) for file in in_split(folded, side)} for side in ("train", "val")
        )
        assert not train & val


@EACH_CASE
def test_folds_depend_on_names_and_labels_alone(
    samples_of: Any, groups: str | None, of: int, more: Any
) -> None:
    samples = samples_of()
    shuffled = random.Random(0).sample(samples, len(samples))
    turned = {"train": "val", "val": "train", "test": "test"}
    other = [replace(sample, split=turned[sample.split]) for sample in shuffled]
    for index in range(of):
        expected = set(fold(samples, index, of, groups, **more))
        assert set(fold(shuffled, index, of, groups, **more)) == expected
        assert set(fold(other, index, of, groups, **more)) == expected


@pytest.mark.parametrize("of", [2, 3, 5])
def test_digits_have_alike_shares_in_all_folds(of: int) -> None:
    samples = read_samples("digits")
    for index in range(of):
        folded = fold(samples, index, of, DIGITS["groups"], **TEN)
        counts = Counter(sample.target for sample in folded if sample.split == "val")
        # a form repeats the ten digits, so that each class is a tenth but for what the forms leave out
        assert all(count / counts.total() == pytest.approx(0.1, abs=0.01) for count in counts.values())
        assert len(counts) == 10


@pytest.mark.parametrize(
    ("num_files", "num_groups", "groups", "of", "expected"),
    [
        (160, 160, None, 5, {0: 24, 1: 8}),  # a fifth of 120 and 40
        (240, 24, r"p\d+", 6, {0: 30, 1: 10}),  # 18 groups of class 0 and 6 of class 1, 10 images each
    ],
)
def test_shares_of_labels_are_those_of_the_pool(
    num_files: int, num_groups: int, groups: str | None, of: int, expected: dict[int, int]
) -> None:
    samples = make_samples("label", num_files=num_files, num_groups=num_groups)
    for index in range(of):
        folded = fold(samples, index, of, groups)
        assert Counter(each.target for each in folded if each.split == "val") == expected


def test_masks_are_distributed_by_the_number_of_groups() -> None:
    samples = make_samples("mask", num_files=50, num_groups=9)
    dealt = [in_split(fold(samples, index, 4, r"p\d+"), "val") for index in range(4)]
    assert sorted(len({find_group(file, r"p\d+") for file in files}) for files in dealt) == [2, 2, 2, 3]


def test_without_a_fold_samples_are_as_they_were() -> None:
    samples = make_samples("label", num_files=20, num_groups=20)
    facts = Facts(**data_section("images", groups="no name has this"))
    assert fold_samples(samples, facts, stratum) == samples


REFUSED = [
    # files  groups  pattern  of  allowed                                                  the whole sentence, once
    (20, 3, r"p[0-9]+", 5, "at most 3, the number of groups (data.groups: 'p[0-9]+') in train and val",
     "data.fold.of must be at most 3, the number of groups (data.groups: 'p[0-9]+') in train and val, got 5; "
     "choose fewer parts, or add images"),
    (4, 4, None, 5, "at most 4, the number of images in train and val",
     "data.fold.of must be at most 4, the number of images in train and val, got 5; choose fewer parts, or add images"),
    (0, 1, None, 2, "at most 0, the number of images in train and val", ""),
    (6, 6, None, 5, "at most 4, the number of images of the largest class in train and val",
     "data.fold.of must be at most 4, the number of images of the largest class in train and val, got 5; "
     "choose fewer parts, or add images"),
]  # fmt: skip


@pytest.mark.parametrize(("num_files", "num_groups", "pattern", "of", "allowed", "text"), REFUSED)
def test_more_parts_than_groups_or_images_are_refused(
    num_files: int, num_groups: int, pattern: str | None, of: int, allowed: str, text: str
) -> None:
    samples = make_samples("label", num_files=num_files, num_groups=num_groups)
    with refused(
        "data.fold.of", got=of, allowed=allowed, hint="choose fewer parts, or add images", text=text
    ):
        fold(samples, 0, of, pattern)


def test_image_without_a_group_cannot_be_folded() -> None:
    with refused("data.groups", got=r"q\d+", hint="rename the file") as caught:
        fold(make_samples("label", num_files=20, num_groups=5), 0, 2, r"q\d+")
    assert "train/p000_0000.png" in str(caught.value)


def test_empty_part_is_refused_in_every_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    # rare, and by rounding: 11 of 20,000 random cuts of groups of one class each (scikit-learn 1.9.1)
    monkeypatch.setattr(splits, "_cut", lambda *_: [[0, 1], [], [2, 3]])
    text = "data.fold.of: a part would be empty, as each of the 4 groups has few classes, got 3; choose fewer parts"
    with refused("data.fold.of", got=3, text=text):
        fold(make_samples("label", num_files=8, num_groups=4), 0, 3, r"p\d+")


def test_class_that_some_parts_will_lack_is_named_in_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    fold(make_samples("label", num_files=9, num_groups=9), 0, 5, None, classes=["ant", "bee"])
    assert capsys.readouterr().err == (
        "warning: data.fold: class 'bee' has 3 images in train and val, so some of the 5 parts have none of it\n"
    )
