"""Kinds of targets: what each is stored as, learnt by and shown as, one row per kind."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.data import sources, targets
from pipeline.data.archive import opened
from pipeline.data.facts import Facts
from pipeline.data.places import Box, Point
from pipeline.data.prepared import Prepared
from pipeline.data.sources import Sample, find_target
from pipeline.data.targets.boxes import Boxes
from pipeline.data.targets.kind import TargetKind, load_kind
from pipeline.data.targets.label import Label
from pipeline.data.targets.labels import Labels
from pipeline.data.targets.mask import Mask
from pipeline.data.targets.points import Points
from tests.makers import data_section, encode, write_files
from tests.refusals import refused

Array = NDArray[np.uint8]

RANDOM = np.random.default_rng(0)
MASKS = RANDOM.integers(0, 3, (4, 5, 7), dtype=np.uint8)
EMPTY = [0, 0, 0, 0, -1, 0]
POINTS = [[[1, 2, 1], [6.5, 4, 1]], [[0, 0, 1], [0, 0, 0]], [[3, 3, 1], [3, 3, 1]], [[0, 0, 0]] * 2]
BOXES = [  # of two images at most
    [[1, 1, 4, 5, 2, 0], EMPTY],
    [[0, 0, 7, 5, 1, 0], [2, 1, 4, 3, 0, 1]],
    [EMPTY, EMPTY],
    [[3, 2, 6, 4, 1, 0], EMPTY],
]
FACTS = Facts(**data_section("mine", shape=[3, 5, 7], classes=["ant", "bee", "cow"], points=["tip", "tail"]))


@dataclass(frozen=True)
class Row:
    """A kind of target: what it is, and four targets of it."""

    name: str
    kind: type[TargetKind]
    shape: tuple[int, ...]
    moves_as: str | None
    targets: Array
    of_sample: Callable[[int], int | tuple[int, ...] | str]
    stratum: int | None  # of a sample of class 1
    caption: str  # of targets[1]
    mask: Array | None
    dtype: str = "uint8"


KINDS = [
    Row(
        "label", Label, (), None, np.array([2, 1, 0, 1], np.uint8), lambda i: [2, 1, 0, 1][i], 1, "bee", None
    ),
    Row(
        "labels",
        Labels,
        (3,),
        None,
        np.array([[0, 0, 1], [1, 1, 0], [0, 0, 0], [0, 1, 0]], np.uint8),
        lambda i: [(2,), (0, 1), (), (1,)][i],
        None,
        "ant, bee",
        None,
    ),
    Row("mask", Mask, (5, 7), "mask", MASKS, lambda i: f"masks/{i}.png", None, "", MASKS[1]),
    Row(
        "boxes",
        Boxes,
        (2, 6),
        "boxes",
        np.array(BOXES, np.float32),
        lambda i: tuple(Box(*row[:5], bool(row[5])) for row in BOXES[i] if row[4] >= 0),
        None,
        "",
        None,
        "float32",
    ),
    Row(
        "points",
        Points,
        (2, 3),
        "points",
        np.array(POINTS, np.float32),
        lambda i: tuple(Point(x, y, bool(seen)) for x, y, seen in POINTS[i]),
        None,
        "",
        None,
        "float32",
    ),
]
COLUMNS: list[dict[str, Any]] = [{"file": 0, "label": 1}, {"file": 0, "label": [1, 2]}]
SAMPLES = {row.name: [Sample(f"{i}.png", "train", row.of_sample(i)) for i in range(4)] for row in KINDS}
EACH_KIND = pytest.mark.parametrize("row", KINDS, ids=lambda row: row.name)


def test_every_kind_has_its_row_and_a_format() -> None:
    modules = {path.stem for path in Path(targets.__file__).parent.glob("*.py")} - {"__init__", "kind"}
    # Two have modules of their own, test_degrading and test_identities.
    assert modules == {row.name for row in KINDS} | {"image", "identity"}
    formats = {path.stem for path in Path(sources.__file__).parent.glob("*.py")} - {"__init__"}
    facts = [data_section("mine", format=name, columns=columns) for name in formats for columns in COLUMNS]
    assert {find_target(Facts(**each)) for each in facts} == modules


def fitted(row: Row) -> TargetKind:
    return load_kind(row.name).fitted(SAMPLES[row.name])


@EACH_KIND
def test_kind_is_found_by_the_name_of_its_module(row: Row) -> None:
    kind = load_kind(row.name)
    assert isinstance(kind, row.kind)
    assert kind.name == row.name
    assert kind.moves_as == row.moves_as


@pytest.mark.parametrize("name", ["label_", "kind", "__init__"])
def test_unknown_kind_is_refused_with_the_known_ones(name: str) -> None:
    text = (
        "target: unknown kind of target 'label_'; did you mean 'label'? allowed: boxes, identity, image, label, "
        "labels, mask, points"
        if name == "label_"
        else ""
    )
    with refused(
        "target",
        got=name,
        allowed=["boxes", "identity", "image", "label", "labels", "mask", "points"],
        text=text,
    ):
        load_kind(name)


@EACH_KIND
def test_target_is_read_from_its_sample_and_archive(row: Row, tmp_path: Path) -> None:
    kind, image = fitted(row), encode(np.zeros((5, 7), np.uint8))
    write_files(tmp_path, {f"masks/{i}.png": encode(mask) for i, mask in enumerate(MASKS)})
    with opened(tmp_path) as archive:
        for index, expected in enumerate(row.targets):
            sample = Sample(f"images/{index}.png", "train", row.of_sample(index))
            found = kind.read(sample, archive, FACTS, image=image)
            assert found.dtype == row.dtype
            assert found.shape == kind.shape(FACTS) == row.shape
            np.testing.assert_array_equal(found, expected)


@EACH_KIND
def test_written_targets_are_loaded_as_they_were_without_reading_them_all(row: Row, tmp_path: Path) -> None:
    kind = fitted(row)
    with kind.writing(tmp_path, "val", len(row.targets), FACTS) as write:
        for target in row.targets:
            write(np.asarray(target), (9, 11))
    loaded = kind.load(tmp_path, "val")
    assert isinstance(loaded, np.memmap)
    assert loaded.dtype == row.dtype
    np.testing.assert_array_equal(loaded, row.targets)
    sides = kind.load_sides(tmp_path, "val")
    files = ["val_sides.npy", "val_targets.npy"] if kind.keeps_sides else ["val_targets.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    if sides is not None:
        assert sides.tolist() == [[9, 11]] * 4


@EACH_KIND
def test_folds_are_stratified_by_labels_alone(row: Row) -> None:
    assert load_kind(row.name).stratum(Sample("a.png", "train", row.of_sample(1))) == row.stratum


@EACH_KIND
def test_target_is_either_written_above_its_image_or_drawn_over_it(row: Row) -> None:
    kind = load_kind(row.name)
    assert kind.caption(row.targets[1], FACTS.classes) == row.caption
    drawn, marks = kind.mask(row.targets[1]), kind.marks(row.targets[1], FACTS)
    assert (drawn is None and marks is None) == bool(row.caption)
    if row.mask is not None:
        np.testing.assert_array_equal(drawn, row.mask)


def samples_of(labels: list[int], split: str) -> list[Sample]:
    return [Sample(f"{split}/{index}.png", split, label) for index, label in enumerate(labels)]


@pytest.mark.parametrize(("train", "absent"), [([0, 1, 1], "cow"), ([1, 2], "ant"), ([], "ant")])
def test_labels_must_have_training_images_of_every_class(train: list[int], absent: str) -> None:
    others = samples_of([0, 1, 2], "val") + samples_of([0, 1, 2], "test")
    with refused("data.classes", hint="add some or remove the class") as caught:
        load_kind("label").check(samples_of(train, "train") + others, FACTS)
    assert caught.value.problem == f"mine has no training image of class '{absent}'"


def test_labels_of_every_class_in_training_are_enough() -> None:
    load_kind("label").check(samples_of([2, 0, 1], "train"), FACTS)


def test_masks_are_not_checked_before_they_are_read() -> None:
    samples: list[Any] = [Sample("images/a.png", "val", "masks/absent.png")]
    load_kind("mask").check(samples, FACTS)


@pytest.mark.parametrize(("source", "kind"), [("class_folders", "label"), ("image_masks", "mask")])
def test_opened_folder_has_the_kind_of_target_of_its_format(source: str, kind: str, tmp_path: Path) -> None:
    assert Prepared.open(tmp_path, Facts(**data_section("images", format=source))).kind is load_kind(kind)
