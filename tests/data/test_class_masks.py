"""A mask per class and image: they make one mask of class indices, and what contradicts that is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.sources import load_source, open_source
from tests.makers import data_section, encode, write_files
from tests.refusals import refused

RANDOM = np.random.default_rng(0)
CLASSES = ["rest", "cell", "nucleus"]
TRUTH = {
    f"{split}/{n}": RANDOM.integers(0, 3, (8, 8), dtype=np.uint8)
    for split in ("train", "val", "test")
    for n in "ab"
}


def mark(where: Any, value: int = 255) -> bytes:
    return encode(where * np.uint8(value))


def files(truth: dict[str, Any] = TRUTH) -> dict[str, bytes]:
    """Return a data set: images, and a mask of each of the last two classes."""
    found = {}
    for key, mask in truth.items():
        split, name = key.split("/")
        found[f"{split}/images/{name}.png"] = encode(RANDOM.integers(0, 256, mask.shape, dtype=np.uint8))
        for index in (1, 2):
            found[f"{split}/masks/{CLASSES[index]}/{name}.png"] = mark(mask == index)
    return found


def section(root: Path, **changes: Any) -> dict[str, Any]:
    return data_section(root, **{"format": "class_masks", "classes": CLASSES, **changes})


def prepare(root: Path, **changes: Any) -> Prepared:
    facts = Facts(**section(root, **changes))
    folder = root.parent / "made"
    folder.mkdir()
    write_prepared(facts, folder, data_digest="sha256:0")
    return Prepared.open(folder, facts)


@pytest.mark.parametrize("root", ["data", "data.zip"])
def test_masks_of_classes_make_one(root: str, tmp_path: Path) -> None:
    prepared = prepare(write_files(tmp_path / root, files()))
    for split in ("train", "val", "test"):
        assert prepared.files(split) == [f"{split}/images/a.png", f"{split}/images/b.png"]
        np.testing.assert_array_equal(prepared.targets(split), [TRUTH[f"{split}/a"], TRUTH[f"{split}/b"]])


@pytest.mark.parametrize("value", [1, 7, 255])
def test_a_class_is_marked_by_any_value(value: int, tmp_path: Path) -> None:
    content = files() | {"train/masks/cell/a.png": mark(TRUTH["train/a"] == 1, value)}
    prepared = prepare(write_files(tmp_path / "data", content))
    np.testing.assert_array_equal(prepared.targets("train")[0], TRUTH["train/a"])


def test_image_without_a_file_of_a_class_shows_none_of_it(tmp_path: Path) -> None:
    content = files()
    del content["train/masks/nucleus/a.png"]
    prepared = prepare(write_files(tmp_path / "data", content))
    np.testing.assert_array_equal(prepared.targets("train")[0], TRUTH["train/a"] == 1)


def test_pixels_of_no_file_are_ignored_where_all_classes_have_folders(tmp_path: Path) -> None:
    root = write_files(tmp_path / "data", files())
    prepared = prepare(root, classes=["cell", "nucleus"], ignore_label=255)
    expected = np.array([255, 0, 1], np.uint8)[TRUTH["val/b"]]
    np.testing.assert_array_equal(prepared.targets("val")[1], expected)


def test_overlapping_classes_are_those_named_last_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = files() | {"train/masks/cell/a.png": mark(TRUTH["train/a"] >= 1)}
    root = write_files(tmp_path / "data", content)
    np.testing.assert_array_equal(prepare(root).targets("train")[0], TRUTH["train/a"])
    assert capsys.readouterr().err == (
        f"warning: data.root: masks of {root} in which classes overlap: 1, such as train/masks/a.pgm; such pixels are "
        "of the class that data.classes names last\n"
    )


REFUSED: list[tuple[dict[str, bytes | None], dict[str, Any], str, str]] = [
    # files that differ                                       facts  path    problem
    ({"train/masks/cell/a.png": encode(np.arange(64, dtype=np.uint8).reshape(8, 8))}, {}, "train/masks/cell/a.png",
     "must have 0 and one other value, as a mask of one class"),
    ({"train/masks/cell/a.png": mark(np.zeros((4, 8), bool))}, {}, "train/masks/cell/a.png, train/masks/nucleus/a.png",
     "have different sides"),
    ({"train/masks/cell/a.bmp": mark(np.zeros((8, 8), bool))}, {}, "data.root", "has two masks of an image and class"),
    ({"train/masks/cel/a.png": mark(np.zeros((8, 8), bool))}, {}, "data.classes", "did you mean 'cell'"),
    ({"train/masks/cell/a.png": None, "train/masks/nucleus/a.png": None}, {}, "data.root", "an image without a mask"),
    ({}, {"classes": ["cell", "nucleus"]}, "train/masks/cell/a.png, train/masks/nucleus/a.png",
     "leave pixels that are of no class"),
    ({}, {"classes": ["rest", "cell", "nucleus", "virus"]}, "data.classes", "has no folder of several classes"),
    ({"train/masks/cell/a.png": encode(TRUTH["train/a"], "JPEG")}, {}, "train/masks/cell/a.png", "saved as JPEG"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "facts", "path", "text"), REFUSED)
def test_what_is_no_mask_of_a_class_is_refused(
    changes: dict[str, bytes | None], facts: dict[str, Any], path: str, text: str, tmp_path: Path
) -> None:
    content = {name: data for name, data in (files() | changes).items() if data is not None}
    root = write_files(tmp_path / "data", content)
    with refused(path) as caught:
        prepare(root, **facts)
    assert text in str(caught.value)
    assert caught.value.hint


def test_the_hint_for_a_missing_mask_names_the_folder_of_a_class(tmp_path: Path) -> None:
    content = {
        name: data for name, data in files().items() if "masks/cell/a" not in name and "nucleus/a" not in name
    }
    facts = Facts(**section(write_files(tmp_path / "data", content)))
    hint = "add its mask as masks/<class>/a.png, or remove the image"
    with open_source(facts) as archive, refused("data.root", hint=hint):
        load_source(facts.format).samples(archive, facts)
