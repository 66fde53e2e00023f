"""Format csv_points: rows of a table become the points of images, and wrong rows are told together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.places import Point
from tests.makers import data_section, encode, list_samples, write_files
from tests.refusals import refused

HEADER = "image,name,x,y"
COLUMNS = {"file": "image", "point": "name", "x": "x", "y": "y"}
UNSEEN = Point(0, 0, is_labelled=False)


def section(root: Path, rows: list[str], *, header: str = HEADER, **changes: Any) -> dict[str, Any]:
    """Write images a.png to d.png of 8 x 8 and a table, and return the section that declares them."""
    images = {f"{name}.png": encode(np.full((8, 8), index, np.uint8)) for index, name in enumerate("abcd")}
    write_files(root, images | {"points.csv": "\n".join([header, *rows]).encode()})
    facts = {"format": "csv_points", "table": "points.csv", "columns": COLUMNS, "points": ["tip", "tail"]}
    more = {"classes": [], "split": {"val": 0.3, "test": 0.3, "seed": 0}}
    return data_section(root, **{**facts, **more, **changes})


def test_rows_of_an_image_are_its_points_in_the_order_of_the_facts(tmp_path: Path) -> None:
    rows = ["b.png,tail,1,2", "b.png,tip,3.5,4", "a.png,tip,,", "a.png,tail,5,6", "c.png,,,"]
    found = list_samples(section(tmp_path, rows))
    assert [(sample.file, sample.target) for sample in found] == [
        ("a.png", (UNSEEN, Point(5, 6, True, "row 5 of points.csv"))),
        ("b.png", (Point(3.5, 4, True, "row 3 of points.csv"), Point(1, 2, True, "row 2 of points.csv"))),
        ("c.png", (UNSEEN, UNSEEN)),
    ]


def test_columns_tell_split_and_group(tmp_path: Path) -> None:
    rows = ["a.png,tip,1,2,train,x", "a.png,tail,1,3,train,x", "b.png,,,,val,y"]
    columns = {**COLUMNS, "split": "side", "group": "person"}
    found = list_samples(section(tmp_path, rows, header=f"{HEADER},side,person", columns=columns))
    assert [(sample.split, sample.group) for sample in found] == [("train", "x"), ("val", "y")]


BOTH = "a.png,tail,4,5"
REFUSED = [
    # rows                             path                  what is wrong, and where
    (["a.png,tip,nan,2", BOTH], "data.columns.x", "have no number as x: 1 (row 2: nan, a.png)"),
    (["a.png,tip,1,", BOTH], "data.columns.y", "have no number as y: 1 (row 2: empty, a.png)"),
    (["a.png,nose,1,2", BOTH], "data.points", "tell a point that is not declared: 1 (row 2: nose)"),
    (["a.png,,1,2", BOTH], "data.points", "tell a point that is not declared: 1 (row 2)"),
    (["a.png,tip,1,2", BOTH, "a.png,tip,1,3"], "data.columns.point",
     "tell a point of an image again: 2 (row 2: a.png tip, row 4: a.png tip)"),
    (["z.png,tip,1,2", "z.png,tail,1,2"], "data.columns.file",
     "name a file that ROOT does not have: 2 (row 2: z.png, row 3: z.png)"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "path", "problem"), REFUSED)
def test_wrong_row_is_refused_with_its_number(
    rows: list[str], path: str, problem: str, tmp_path: Path
) -> None:
    with refused(path) as caught:
        list_samples(section(tmp_path, rows))
    assert caught.value.problem == f"rows of points.csv that {problem.replace('ROOT', str(tmp_path))}"


def test_number_of_points_that_varies_is_refused_with_the_number_of_images(tmp_path: Path) -> None:
    text = (
        "points.csv: images that lack rows of points: 2, such as a.png, which lacks tail; give each image a row for "
        "each of data.points, with empty x and y if it does not show the point"
    )
    with refused("points.csv", hint="give each image a row", text=text):
        list_samples(section(tmp_path, ["a.png,tip,1,2", "b.png,tail,1,2", "c.png,tip,1,2", "c.png,tail,,"]))


def test_points_in_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    with refused("points.csv", hint="as points are in pixels"):
        list_samples(section(tmp_path, ["a.png,tip,0.1,0.2", "a.png,tail,0.5,1"]))


def test_points_need_names_and_have_one_class_at_most(tmp_path: Path) -> None:
    rows = ["a.png,tip,1,2", BOTH]
    assert len(list_samples(section(tmp_path, rows, classes=["clock"]))) == 1
    with refused("data.points", got=None, allowed="the names of the points, in the order of their indices"):
        list_samples({**section(tmp_path, rows), "points": None})
    with refused("data.classes", got=2, hint="merge some of them"):
        list_samples(section(tmp_path, rows, classes=["clock", "watch"]))
