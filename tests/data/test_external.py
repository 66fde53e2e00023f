"""External test sets: which images are scored, and at which resolution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.external import check_split, prepare_external
from pipeline.data.facts import Facts
from tests.makers import data_section, write_class_folders, write_image_masks
from tests.refusals import refused


def facts(root: Path, **changes: Any) -> Facts:
    return Facts(**data_section(root, **changes))


def folder_in(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("split", "count"), [("test", 6), ("all", 18)])
def test_images_of_the_test_split_or_all_are_taken(split: str, count: int, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip", sides=(10, 12))
    prepared = prepare_external(facts(tmp_path / "data.zip"), folder_in(tmp_path), split=split)
    assert prepared.images("test").shape == (count, 8, 8, 1)
    names = prepared.files("test")
    assert len(names) == count
    assert [["cat", "dog"].index(Path(name).parent.name) for name in names] == list(prepared.targets("test"))
    assert {name.split("/")[0] for name in names} == (
        {"test"} if split == "test" else {"train", "val", "test"}
    )


def test_an_archive_without_splits_is_taken_as_a_whole_even_if_a_class_has_no_image(tmp_path: Path) -> None:
    images = write_class_folders(tmp_path / "data.zip", classes=["dog"], splits=[])
    prepared = prepare_external(facts(tmp_path / "data.zip"), folder_in(tmp_path), split="all")
    assert prepared.files("test") == sorted(images)
    assert set(prepared.targets("test")) == {1}


def test_masks_are_resized_with_their_images(tmp_path: Path) -> None:
    written = write_image_masks(tmp_path / "data.zip", splits=["test"], sides=(8, 8))
    where = facts(tmp_path / "data.zip", format="image_masks")
    prepared = prepare_external(where, folder_in(tmp_path), split="test")
    for name, image, mask in zip(
        prepared.files("test"), prepared.images("test"), prepared.targets("test"), strict=True
    ):
        assert np.array_equal(image[..., 0], written[name])
        assert np.array_equal(mask, written[name.replace("images", "masks")])


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip", splits=["train"])
    where, folder = facts(tmp_path / "data.zip"), folder_in(tmp_path)
    with refused("data.root", hint="set split=all to score all of them"):
        prepare_external(where, folder, split="test")
    with refused("split", allowed=["test", "all"]):
        check_split("train")
    with refused("data.groups", hint="rename the file"):
        prepare_external(facts(tmp_path / "data.zip", groups=r"patient\d"), folder, split="all")
