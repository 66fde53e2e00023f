"""Layouts: the same images have the same facts as a folder and as a zip, whatever lies around them."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.inspection.columns import Labels
from pipeline.inspection.layout import find_layout, make_name, sort_names
from tests.makers import write_files
from tests.refusals import refused

LAYOUTS: list[tuple[list[str], dict[str, Any]]] = [
    (["cat/1.png", "dog/1.png", "dog/deep/2.png", "notes.txt"], {"format": "class_folders", "classes": ["cat", "dog"]}),
    (["10/1.png", "9/1.png", "1/1.png"], {"format": "class_folders", "classes": ["1", "9", "10"]}),
    (["train/a/1.png", "val/a/1.png", "test/b/1.png"],
     {"format": "class_folders", "classes": ["a", "b"], "split": "folders"}),
    (["images/1.png", "masks/1.png"], {"format": "image_masks", "classes": ["a", "b"]}),
    (["train/images/1.png", "train/masks/1.png", "val/images/1.png", "test/images/1.png"],
     {"format": "image_masks", "classes": ["a", "b"], "split": "folders"}),
    (["images/1.png", "images/2.jpg", "masks/cell/1.png", "masks/cell/2.png", "masks/10/1.png"],
     {"format": "class_masks", "classes": ["background", "10", "cell"], "background": "background"}),
    (["train/images/1.png", "val/images/1.png", "test/images/1.png", "train/masks/rest/1.png",
      "val/masks/background/1.png", "test/masks/rest/1.png"],
     {"format": "class_masks", "classes": ["background", "rest"], "background": "background", "split": "folders"}),
    (["images/a/1.png", "masks/a/1.png"], {"format": "image_masks", "classes": ["a", "b"]}),
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


LABELLED: list[tuple[str, list[str], list[str]]] = [
    # what                           images in the zip or folder             file names in the table
    ("relative to the top", ["pics/1.png", "pics/2.png", "x.txt"], ["pics/1.png", "pics/2.png"]),
    ("below a folder", ["set/pics/1.png", "set/pics/2.png", "set/x/x.txt"], ["1.png", "2.png"]),
    ("without a suffix", ["set/pics/a.b1.png", "set/other/2.png"], ["a.b1", "2"]),
    ("last folders", ["set/u/1.png", "set/v/1.png"], ["u/1", "v/1"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "images", "named"), LABELLED)
@pytest.mark.parametrize("root", ["images", "images.zip"])
def test_table_beside_a_folder_or_zip_is_found(
    what: str, images: list[str], named: list[str], root: str, tmp_path: Path
) -> None:
    place = write_files(tmp_path / "both" / root, dict.fromkeys(images, b""))
    table = tmp_path / "both" / "labels.csv"
    table.write_text("file,label\n" + "".join(f"{name},{'ab'[n % 2]}\n" for n, name in enumerate(named)))
    expected = {
        "format": "csv_labels",
        "root": str(place),
        "table": "../labels.csv",
        "columns": {"file": "file", "label": "label"},
        "classes": ["a", "b"],
    }
    assert find_layout(place, table=table, labels=Labels("label"), max_bytes=1000) == expected
    if root == "images.zip":  # the only zip in a folder, or beside a table
        assert find_layout(tmp_path / "both", labels=Labels("label"), max_bytes=1000) == expected
        assert find_layout(table, labels=Labels("label"), max_bytes=1000) == expected


@pytest.mark.parametrize("place", ["both/t.csv", "t.csv"])
def test_table_that_cannot_be_read_is_refused_by_its_error_if_it_was_named(
    place: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {place: b"file,label\n\xff,x\n", "both/a/1.png": b"", "both/b/1.png": b""})
    name = "t.csv" if place.startswith("both") else "../t.csv"
    with refused(name) as caught:
        find_layout(tmp_path / "both", table=tmp_path / place, max_bytes=1000)
    assert caught.value.problem == "is not UTF-8"
    assert find_layout(tmp_path / "both", max_bytes=1000)["format"] == "class_folders"


def test_only_zip_of_a_folder_is_opened_without_a_table(tmp_path: Path) -> None:
    write_files(tmp_path / "down" / "pets.zip", {"cat/1.png": b"", "dog/1.png": b""})
    assert find_layout(tmp_path / "down", max_bytes=1000)["root"] == str(tmp_path / "down" / "pets.zip")


def test_table_that_names_none_of_the_images_is_refused(tmp_path: Path) -> None:
    place = write_files(tmp_path / "images.zip", {"a/1.png": b"", "b/1.png": b""})
    table = tmp_path / "labels.csv"
    table.write_text("file,label\n1.png,x\n1.png,y\n")
    text = (
        f"{table}: has no column that names images of {place}; write names relative to its top, or their last parts, "
        "as long as no two files share them"
    )
    with refused(str(table), text=text):
        find_layout(place, table=table, max_bytes=1000)
