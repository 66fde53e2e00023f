"""Sources: what each on-disk format finds, and what it refuses by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.data import sources
from pipeline.data.archive import opened
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, source_of
from pipeline.data.splits import split_by_name
from pipeline.errors import ConfigError
from tests.makers import SPLITS, data_section, write_class_folders, write_files, write_image_masks

SHARES = {"val": 0.3, "test": 0.3, "seed": 0}


@dataclass(frozen=True)
class Row:
    """A format: how to write it, and the samples to expect below one folder of images."""

    name: str
    target: str
    write: Callable[..., Any]
    expected: tuple[Mapping[str, Any], ...]  # of two images, below train/
    draws: Callable[[str], tuple[str, int]]  # image -> name and class that its split is drawn from


FORMATS = [
    Row(
        "class_folders",
        "label",
        write_class_folders,
        (
            {"file": "cat/000.png", "label": 0},
            {"file": "cat/001.png", "label": 0},
            {"file": "dog/000.png", "label": 1},
            {"file": "dog/001.png", "label": 1},
        ),
        lambda file: (file, ["cat", "dog"].index(file.split("/")[0])),
    ),
    Row(
        "image_masks",
        "mask",
        write_image_masks,
        (
            {"file": "images/000.png", "mask": "masks/000.png"},
            {"file": "images/001.png", "mask": "masks/001.png"},
        ),
        lambda file: (file.removeprefix("images/").removesuffix(".png"), 0),
    ),
]
EACH_FORMAT = pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
EACH_KIND = pytest.mark.parametrize("kind", ["data", "data.zip"])


def list_samples(root: Path, **changes: Any) -> list[Sample]:
    facts = Facts.of(data_section(root, **changes))
    with opened(root) as archive:
        return source_of(facts.format).samples(archive, facts)


def test_every_format_has_its_row() -> None:
    modules = {path.stem for path in Path(sources.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == {row.name for row in FORMATS}


@EACH_FORMAT
@EACH_KIND
def test_split_folders_are_followed(row: Row, kind: str, tmp_path: Path) -> None:
    row.write(tmp_path / kind, num_images=2)
    target = source_of(row.name).TARGET
    assert target == row.target
    found = list_samples(tmp_path / kind, format=row.name)
    expected = [
        Sample(
            split=split,
            **{key: f"{split}/{value}" if isinstance(value, str) else value for key, value in each.items()},
        )
        for split in sorted(SPLITS)
        for each in row.expected
    ]
    assert found == expected


@EACH_FORMAT
@EACH_KIND
def test_shares_are_drawn_by_name(row: Row, kind: str, tmp_path: Path) -> None:
    row.write(tmp_path / kind, splits=(), num_images=12)
    found = list_samples(tmp_path / kind, format=row.name, split=SHARES)
    for sample in found:
        name, label = row.draws(sample.file)
        assert sample.split == split_by_name({name: label}, SHARES, groups=None)[name]
    assert {sample.split for sample in found} == set(SPLITS)
    assert len(found) == 12 * len(row.expected) / 2


@EACH_FORMAT
def test_groups_are_found_in_whole_names_and_drawn_whole(row: Row, tmp_path: Path) -> None:
    row.write(tmp_path / "data", splits=(), num_images=120)
    found = list_samples(tmp_path / "data", format=row.name, split=SHARES, groups=r"^\w+/(\d\d)\d\.png")
    groups = {sample.file: sample.file.split("/")[1][:2] for sample in found}
    drawn = split_by_name(dict.fromkeys(groups, 0), SHARES, groups=groups)
    assert {sample.file: sample.split for sample in found} == drawn
    assert set(drawn.values()) == set(SPLITS)
    with pytest.raises(ConfigError, match=rf"data\.groups: 'z' finds no group in the name {found[0].file}; "):
        list_samples(tmp_path / "data", format=row.name, split=SHARES, groups="z")


@EACH_FORMAT
def test_files_that_are_no_images_are_passed_over(row: Row, tmp_path: Path) -> None:
    row.write(tmp_path / "data")
    before = list_samples(tmp_path / "data", format=row.name)
    write_files(tmp_path / "data", {"README.txt": b"", "train/notes.csv": b"", "train/cat/a.json": b""})
    assert list_samples(tmp_path / "data", format=row.name) == before


def test_image_and_mask_may_differ_in_suffix_and_lie_deeper(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"images/a/1.v2.JPG": b"", "masks/a/1.v2.png": b""})
    (found,) = list_samples(root, format="image_masks", split=SHARES)
    assert (found.file, found.mask) == ("images/a/1.v2.JPG", "masks/a/1.v2.png")


REFUSED = [
    #  format           split      files                                     what is said
    (
        "class_folders",
        "folders",
        ["train/cta/1.png"],
        r"data\.classes: .*data has the folder 'cta', which is no class; did you mean 'cat'\? .*cat, dog",
    ),
    (
        "class_folders",
        SHARES,
        ["train/cat/1.png"],
        r"data\.classes: .*data has the folder 'train', which is no class; .*allowed: cat, dog",
    ),
    (
        "class_folders",
        "folders",
        ["train/1.png"],
        r"data\.root: .*data has train/1\.png outside a class folder; expected <split>/<class>/<image>$",
    ),
    (
        "class_folders",
        SHARES,
        ["1.png"],
        r"data\.root: .*data has 1\.png outside a class folder; expected <class>/<image>$",
    ),
    (
        "class_folders",
        "folders",
        ["training/cat/1.png"],
        r"data\.root: .*has training/cat/1\.png outside the folders train/, val/, test/; .*data\.split=\{val",
    ),
    (
        "image_masks",
        "folders",
        ["valid/images/1.png", "valid/masks/1.png"],
        r"data\.root: .*has valid/images/1\.png outside the folders train/, val/, test/; .*data\.split=\{val",
    ),
    (
        "image_masks",
        "folders",
        ["train/images/1.png"],
        r"data: image train/images/1\.png has no mask; add masks/1 beside it or remove the image",
    ),
    (
        "image_masks",
        "folders",
        ["train/masks/1.png"],
        r"data: mask train/masks/1\.png has no image; add images/1 beside it or remove the mask",
    ),
    (
        "image_masks",
        "folders",
        ["train/images/1.png", "val/masks/1.png"],
        r"data: image train/images/1\.png has no mask; add masks/1 beside it",
    ),
    (
        "image_masks",
        SHARES,
        ["images/1.png", "images/1.jpg", "masks/1.png"],
        r"data: images/1\.jpg and images/1\.png share a stem; rename one",
    ),
    (
        "image_masks",
        SHARES,
        ["labels/1.png"],
        r"data: labels/1\.png is neither in images/ nor in masks/; expected images/<name> and masks/<name>$",
    ),
    (
        "image_masks",
        "folders",
        ["images/1.png"],
        r"images/1\.png is neither in images/ nor in masks/; expected <split>/images/<name> and <split>/m",
    ),
]


@pytest.mark.parametrize(("name", "split", "files", "match"), REFUSED)
def test_what_the_format_cannot_hold_is_refused_by_name(
    name: str, split: Any, files: list[str], match: str, tmp_path: Path
) -> None:
    root = write_files(tmp_path / "data", dict.fromkeys(files, b""))
    with pytest.raises(ConfigError, match=match):
        list_samples(root, format=name, split=split)


def test_unknown_format_is_refused_with_the_closest() -> None:
    wanted = r"data\.format: unknown format 'class_folder'; did you mean 'class_folders'\? .*image_masks"
    with pytest.raises(ConfigError, match=wanted):
        source_of("class_folder")
