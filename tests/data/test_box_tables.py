"""Format csv_boxes: rows of a table become the boxes of images, and wrong rows are told together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.places import Box
from tests.makers import data_section, encode, list_samples, write_files
from tests.refusals import refused

HEADER = "image,x_min,y_min,x_max,y_max,label"
COLUMNS = {"file": "image", **{name: name for name in ("x_min", "y_min", "x_max", "y_max", "label")}}
SHARES = {"val": 0.3, "test": 0.3, "seed": 0}


def section(root: Path, rows: list[str], *, header: str = HEADER, **changes: Any) -> dict[str, Any]:
    """Write images a.png to d.png of 8 x 8 and a table, and return the section that declares them."""
    images = {f"{name}.png": encode(np.full((8, 8), index, np.uint8)) for index, name in enumerate("abcd")}
    write_files(root, images | {"boxes.csv": "\n".join([header, *rows]).encode()})
    facts = {"format": "csv_boxes", "table": "boxes.csv", "columns": COLUMNS, "split": SHARES, **changes}
    return data_section(root, **facts)


def test_rows_of_an_image_are_its_boxes_and_an_empty_row_says_that_it_has_none(tmp_path: Path) -> None:
    rows = ["b.png,1,2,5,7,dog", "a.png,,,,,", "b.png,0.5,0,8,3,cat"]
    found = list_samples(section(tmp_path, rows))
    assert [(sample.file, sample.target) for sample in found] == [
        ("a.png", ()),
        (
            "b.png",
            (
                Box(1, 2, 5, 7, 1, False, "row 2 of boxes.csv"),
                Box(0.5, 0, 8, 3, 0, False, "row 4 of boxes.csv"),
            ),
        ),
    ]


def test_columns_tell_split_and_group(tmp_path: Path) -> None:
    rows = ["a.png,1,2,5,7,dog,train,x", "a.png,1,2,6,7,dog,train,x", "b.png,,,,,,val,y"]
    columns = {**COLUMNS, "split": "side", "group": "scene"}
    found = list_samples(section(tmp_path, rows, header=f"{HEADER},side,scene", columns=columns))
    assert [(sample.split, sample.group) for sample in found] == [("train", "x"), ("val", "y")]


def test_drawn_splits_divide_no_group(tmp_path: Path) -> None:
    rows = [f"{name}.png,1,2,5,7,dog,{group}" for name, group in zip("abcd", "xxyy", strict=True)]
    columns = {**COLUMNS, "group": "scene"}
    found = list_samples(section(tmp_path, rows, header=f"{HEADER},scene", columns=columns))
    assert found[0].split == found[1].split
    assert found[2].split == found[3].split


def test_one_class_is_enough(tmp_path: Path) -> None:
    assert len(list_samples(section(tmp_path, ["a.png,1,2,5,7,cat"], classes=["cat"]))) == 1
    with refused("data.classes", got=[], allowed="at least one name"):
        list_samples(section(tmp_path, ["a.png,1,2,5,7,cat"], classes=[]))


def test_objects_are_of_the_one_class_where_no_column_tells_theirs(tmp_path: Path) -> None:
    columns = {key: name for key, name in COLUMNS.items() if key != "label"}
    rows = ["a.png,1,2,5,7,dog", "a.png,1,2,6,7,", "b.png,,,,,dog"]
    found = list_samples(section(tmp_path, rows, columns=columns, classes=["object"]))
    assert [[box.label for box in sample.target] for sample in found] == [[0, 0], []]
    text = (
        f"data.columns: no column tells which of 2 classes an object is of, got {columns}; add label: <column>, or "
        "name one class, which all objects are of"
    )
    with refused("data.columns", got=columns, text=text):
        list_samples(section(tmp_path, rows, columns=columns, classes=["cat", "dog"]))


REFUSED = [
    # rows                               path                   what is wrong, and where
    (["a.png,1,2,x,7,dog"], "data.columns.x_max", "have no number as x_max: 1 (row 2: x, a.png)"),
    (["a.png,1,nan,5,7,dog"], "data.columns.y_min", "have no number as y_min: 1 (row 2: nan, a.png)"),
    (["a.png,1,inf,5,7,dog"], "data.columns.y_min", "have no number as y_min: 1 (row 2: inf, a.png)"),
    (["a.png,1,2,,7,dog"], "data.columns.x_max", "have no number as x_max: 1 (row 2: empty, a.png)"),
    (["a.png,,,,,dog"], "data.columns.x_min", "have no number as x_min: 1 (row 2: empty, a.png)"),
    (["a.png,5,2,1,7,dog", "b.png,5,2,1,7,cat"], "data.columns.x_max",
     "have x_max below x_min: 2 (row 2: a.png 5 1, row 3: b.png 5 1)"),
    (["a.png,1,7,5,2,dog"], "data.columns.y_max", "have y_max below y_min: 1 (row 2: a.png 7 2)"),
    (["a.png,1,2,1,7,dog"], "data.columns.x_max",
     "have a box of no area, as x_max equals x_min: 1 (row 2: a.png 1 1)"),
    (["a.png,1,2,5,7,"], "data.columns.label", "give no label: 1 (row 2: a.png)"),
    (["a.png,1,2,5,7,cow"], "data.classes", "have a label that is no class: 1 (row 2: cow)"),
    (["z.png,1,2,5,7,dog"], "data.columns.file", "name a file that ROOT does not have: 1 (row 2: z.png)"),
    (["a.png,1,2,5,7,dog", "a.png,1,2,5,7,dog"], "data.columns.file",
     "repeat another row: 2 (row 2: a.png, row 3: a.png)"),
    (["a.png,1,2,5,7,dog", "a.png,,,,,"], "data.columns.file",
     "say that an image has nothing, while others tell what it has: 1 (row 3: a.png)"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "path", "problem"), REFUSED)
def test_wrong_row_is_refused_with_its_number(
    rows: list[str], path: str, problem: str, tmp_path: Path
) -> None:
    with refused(path) as caught:
        list_samples(section(tmp_path, rows))
    assert caught.value.problem == f"rows of boxes.csv that {problem.replace('ROOT', str(tmp_path))}"


def test_rows_that_are_wrong_in_several_ways_are_told_in_one_error(tmp_path: Path) -> None:
    with refused("data.columns.x_max") as caught:
        list_samples(section(tmp_path, ["a.png,5,2,1,7,dog", "b.png,1,2,5,2,dog", "c.png,1,2,5,7,cow"]))
    assert caught.value.problem == (
        "rows of boxes.csv that have x_max below x_min: 1 (row 2: a.png 5 1), and that have a box of no area, as y_max "
        "equals y_min: 1 (row 3: b.png 2 2), and that have a label that is no class: 1 (row 4: cow)"
    )


@pytest.mark.parametrize("key", ["split", "group"])
def test_rows_of_an_image_that_contradict_each_other_are_refused(key: str, tmp_path: Path) -> None:
    rows = ["a.png,1,2,5,7,dog,train", "a.png,1,2,6,7,dog,test"]
    columns = {**COLUMNS, key: "more"}
    with refused(f"data.columns.{key}", hint=f"give all its rows one {key}") as caught:
        list_samples(section(tmp_path, rows, header=f"{HEADER},more", columns=columns))
    assert f"give an image another {key} than an earlier row: 1 (row 3: a.png)" in caught.value.problem


def test_boxes_in_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    rows = ["a.png,0.1,0.2,0.5,0.7,dog", "b.png,0,0,1,1,cat"]
    text = (
        "boxes.csv: all boxes end at or before 1, as if they were shares of the image's sides; multiply x by the "
        "columns and y by the rows of the image, as boxes are in pixels"
    )
    with refused("boxes.csv", hint="multiply", text=text):
        list_samples(section(tmp_path, rows))
    assert len(list_samples(section(tmp_path, [*rows, "c.png,0,0,2,1,cat"]))) == 3
