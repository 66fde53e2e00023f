"""Sources: what each on-disk format finds, and what it refuses by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.data import sources
from pipeline.data.archive import opened
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, load_source
from pipeline.data.splits import split_by_name
from tests.makers import SPLITS, data_section, write_class_folders, write_files, write_image_masks
from tests.refusals import refused

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
            {"file": "cat/000.png", "target": 0},
            {"file": "cat/001.png", "target": 0},
            {"file": "dog/000.png", "target": 1},
            {"file": "dog/001.png", "target": 1},
        ),
        lambda file: (file, ["cat", "dog"].index(file.split("/")[0])),
    ),
    Row(
        "images",
        "image",
        write_class_folders,
        tuple(
            {"file": f"{name}/{number}.png", "target": 0}
            for name in ("cat", "dog")
            for number in ("000", "001")
        ),
        lambda file: (file, 0),
    ),
    Row(
        "image_masks",
        "mask",
        write_image_masks,
        (
            {"file": "images/000.png", "target": "masks/000.png"},
            {"file": "images/001.png", "target": "masks/001.png"},
        ),
        lambda file: (file.removeprefix("images/").removesuffix(".png"), 0),
    ),
]
EACH_FORMAT = pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
EACH_KIND = pytest.mark.parametrize("kind", ["data", "data.zip"])


def list_samples(root: Path, **changes: Any) -> list[Sample]:
    facts = Facts(**data_section(root, **changes))
    with opened(root) as archive:
        return load_source(facts.format).samples(archive, facts)


def test_every_format_has_its_row() -> None:
    modules = {path.stem for path in Path(sources.__file__).parent.glob("*.py")} - {"__init__"}
    # The others are tested in modules of their own.
    others = {"class_masks", "coco", "voc", "yolo", "csv_boxes", "csv_labels", "csv_pixels", "csv_points"}
    others |= {"csv_identities", "identity_folders", "one_image"}
    assert modules - others == {row.name for row in FORMATS}


@EACH_FORMAT
@EACH_KIND
def test_split_folders_are_followed(row: Row, kind: str, tmp_path: Path) -> None:
    row.write(tmp_path / kind, num_images=2)
    target = load_source(row.name).TARGET
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
    drawn = split_by_name(dict(row.draws(sample.file) for sample in found), SHARES, groups=None)
    assert [sample.split for sample in found] == [drawn[row.draws(sample.file)[0]] for sample in found]
    assert {sample.split for sample in found} == set(SPLITS)
    assert len(found) == 12 * len(row.expected) / 2


@EACH_FORMAT
def test_groups_are_found_in_whole_names_and_drawn_whole(row: Row, tmp_path: Path) -> None:
    row.write(tmp_path / "data", splits=(), num_images=120)
    found = list_samples(tmp_path / "data", format=row.name, split=SHARES, groups=r"^\w+/(\d\d)\d\.png")
    groups = {sample.file: sample.file.split("/")[1][:2] for sample in found}
    labels = {sample.file: sample.target if isinstance(sample.target, int) else 0 for sample in found}
    drawn = split_by_name(labels, SHARES, groups=groups)
    assert {sample.file: sample.split for sample in found} == drawn
    assert set(drawn.values()) == set(SPLITS)
    with refused("data.groups", got="z", hint="rename the file") as caught:
        list_samples(tmp_path / "data", format=row.name, split=SHARES, groups="z")
    assert found[0].file in str(caught.value)


@EACH_FORMAT
def test_files_other_than_images_are_ignored(row: Row, tmp_path: Path) -> None:
    row.write(tmp_path / "data")
    before = list_samples(tmp_path / "data", format=row.name)
    write_files(tmp_path / "data", {"README.txt": b"", "train/notes.csv": b"", "train/cat/a.json": b""})
    assert list_samples(tmp_path / "data", format=row.name) == before


def test_image_and_mask_may_differ_in_suffix_and_lie_deeper(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"images/a/1.v2.JPG": b"", "masks/a/1.v2.png": b""})
    (found,) = list_samples(root, format="image_masks", split=SHARES)
    assert (found.file, found.target) == ("images/a/1.v2.JPG", "masks/a/1.v2.png")


def test_class_is_found_whatever_unicode_form_its_folder_has(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", {"caf\u00e9/1.png": b"", "te/1.png": b""})
    for name in ("cafe\u0301", "caf\u00e9"):
        found = list_samples(root, classes=["te", name], split=SHARES)
        assert [sample.target for sample in found] == [1, 0]


ELSEWHERE = "move it there, or set data.split=random to have splits drawn"
REFUSED = [
    # format        split  files                    path            got            hint            what follows the path
    ("class_folders", "folders", ["train/cta/1.png"],
     "data.classes", "cta", "did you mean 'cat'?",
     "unknown class folder in ROOT: 'cta'; did you mean 'cat'? allowed: cat, dog"),
    ("class_folders", SHARES, ["train/cat/1.png"],
     "data.classes", "train", "allowed: cat, dog", ""),
    ("class_folders", "folders", ["train/1.png"],
     "data.root", "train/1.png", "move it to <split>/<class>/<image>",
     "ROOT has an image outside a class folder, got 'train/1.png'; move it to <split>/<class>/<image>"),
    ("class_folders", SHARES, ["1.png"],
     "data.root", "1.png", "move it to <class>/<image>", ""),
    ("class_folders", "folders", ["training/cat/1.png"],
     "data.root", "training/cat/1.png", ELSEWHERE,
     f"ROOT has an image outside train/, val/ and test/, got 'training/cat/1.png'; {ELSEWHERE}"),
    ("image_masks", "folders", ["valid/images/1.png", "valid/masks/1.png"],
     "data.root", "valid/images/1.png", ELSEWHERE, ""),
    ("image_masks", "folders", ["train/images/1.png"],
     "data.root", "train/images/1.png", "add its mask as masks/1.png, or remove the image",
     "ROOT has an image without a mask, got 'train/images/1.png'; "
     "add its mask as masks/1.png, or remove the image"),
    ("image_masks", "folders", ["train/masks/1.png"],
     "data.root", "train/masks/1.png", "add its image as images/1.png, or remove the mask",
     "ROOT has a mask without an image, got 'train/masks/1.png'; add its image as images/1.png, or remove the mask"),
    ("image_masks", "folders", ["train/images/1.png", "val/masks/1.png"],
     "data.root", "train/images/1.png", "add its mask as masks/1.png", ""),
    ("image_masks", SHARES, ["images/1.png", "images/1.jpg", "masks/1.png"],
     "data.root", ["images/1.jpg", "images/1.png"], "rename or remove one",
     "ROOT has two images with the same stem, got ['images/1.jpg', 'images/1.png']; rename or remove one"),
    ("image_masks", SHARES, ["labels/1.png"],
     "data.root", "labels/1.png", "move it to one of them",
     "ROOT has an image outside images/ and masks/, got 'labels/1.png'; move it to one of them"),
    ("image_masks", "folders", ["images/1.png"],
     "data.root", "images/1.png", "move it to one of them",
     "ROOT has an image outside <split>/images/ and <split>/masks/, got 'images/1.png'; move it to one of them"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "split", "files", "path", "got", "hint", "text"), REFUSED)
def test_files_that_do_not_fit_the_format_are_refused(
    name: str, split: Any, files: list[str], path: str, got: Any, hint: str, text: str, tmp_path: Path
) -> None:
    root = write_files(tmp_path / "data", dict.fromkeys(files, b""))
    whole = f"{path}: {text.replace('ROOT', str(root))}" if text else ""
    with refused(path, got=got, hint=hint, text=whole) as caught:
        list_samples(root, format=name, split=split)
    assert str(root) in str(caught.value)


def test_unknown_format_is_refused_with_the_closest() -> None:
    text = (
        "data.format: unknown format 'class_folder'; did you mean 'class_folders'? "
        "allowed: class_folders, class_masks, coco, csv_boxes, csv_identities, csv_labels, csv_pixels, csv_points, "
        "identity_folders, image_masks, images, one_image, voc, yolo"
    )
    formats = [
        "class_folders",
        "class_masks",
        "coco",
        "csv_boxes",
        "csv_identities",
        "csv_labels",
        "csv_pixels",
        "csv_points",
        "identity_folders",
        "image_masks",
        "images",
        "one_image",
        "voc",
        "yolo",
    ]
    with refused("data.format", got="class_folder", allowed=formats, hint="mean 'class_folders'?", text=text):
        load_source("class_folder")
