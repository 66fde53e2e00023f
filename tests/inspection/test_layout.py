"""Layouts: the same images have the same facts as a folder and as a zip, whatever lies around them."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.inspection.layout import find_layout, make_name, sort_names
from tests.makers import write_files

LAYOUTS: list[tuple[list[str], dict[str, Any]]] = [
    (["cat/1.png", "dog/1.png", "dog/deep/2.png", "notes.txt"], {"format": "class_folders", "classes": ["cat", "dog"]}),
    (["10/1.png", "9/1.png", "1/1.png"], {"format": "class_folders", "classes": ["1", "9", "10"]}),
    (["train/a/1.png", "val/a/1.png", "test/b/1.png"],
     {"format": "class_folders", "classes": ["a", "b"], "split": "folders"}),
    (["images/1.png", "masks/1.png"], {"format": "image_masks", "classes": ["a", "b"]}),
    (["train/images/1.png", "train/masks/1.png", "val/images/1.png", "test/images/1.png"],
     {"format": "image_masks", "classes": ["a", "b"], "split": "folders"}),
]  # fmt: skip


@pytest.mark.parametrize(("names", "facts"), LAYOUTS)
@pytest.mark.parametrize("around", ["", "set/", "my/own/set/"])
@pytest.mark.parametrize("root", ["data", "data.zip"])
def test_layout_is_found_below_folders_that_mean_nothing(
    names: list[str], facts: dict[str, Any], around: str, root: str, tmp_path: Path
) -> None:
    write_files(tmp_path / root, {f"{around}{name}": b"" for name in names})
    found = find_layout(tmp_path / root, max_bytes=1000)
    place = tmp_path / root if root.endswith(".zip") else tmp_path / root / around
    assert Path(found.pop("root")) == place
    assert found == facts


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/My Pets.zip", "my_pets"),
        ("/data/2024", "data_2024"),
        ("labels.csv.gz", "labels"),
        ("/data/\u732b", "data"),
    ],
)
def test_name_is_made_of_the_path(path: str, name: str) -> None:
    assert make_name(Path(path)) == name


def test_numbers_are_in_the_order_of_their_values_and_names_in_that_of_letters() -> None:
    assert sort_names(["10", "9", "0"]) == ["0", "9", "10"]
    assert sort_names(["b", "10", "9"]) == ["10", "9", "b"]
