"""Format csv_points: a row of a table tells the points of an image, and wrong rows are told together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.places import Point
from tests.makers import data_section, encode, list_samples, write_files
from tests.refusals import refused

HEADER = "image,tip_x,tip_y,tail_x,tail_y"
COLUMNS = {"file": "image"}
UNSEEN = Point(0, 0, is_labelled=False)


def section(root: Path, rows: list[str], *, header: str = HEADER, **changes: Any) -> dict[str, Any]:
    """Write images a.png to d.png of 8 x 8 and a table, and return the section that declares them."""
    images = {f"{name}.png": encode(np.full((8, 8), index, np.uint8)) for index, name in enumerate("abcd")}
    write_files(root, images | {"points.csv": "\n".join([header, *rows]).encode()})
    facts = {"format": "csv_points", "table": "points.csv", "columns": COLUMNS, "points": ["tip", "tail"]}
    more = {"classes": [], "split": {"val": 0.3, "test": 0.3, "seed": 0}}
    return data_section(root, **{**facts, **more, **changes})


def test_row_of_an_image_tells_its_points_of_which_some_are_not_seen(tmp_path: Path) -> None:
    found = list_samples(section(tmp_path, ["b.png,3.5,4,1,2", "a.png,,,5,6", "c.png,,,,"]))
    assert [(sample.file, sample.target) for sample in found] == [
        ("a.png", (UNSEEN, Point(5, 6, True, "row 3 of points.csv"))),
        ("b.png", (Point(3.5, 4, True, "row 2 of points.csv"), Point(1, 2, True, "row 2 of points.csv"))),
        ("c.png", (UNSEEN, UNSEEN)),
    ]


@pytest.mark.parametrize("is_named", [True, False])
def test_columns_of_points_may_be_told(is_named: bool, tmp_path: Path) -> None:
    header = "file,col,row,col2,row2"
    names = {"file": "file", "x": ["col", "col2"], "y": ["row", "row2"]}
    numbers = {"file": 0, "x": [1, 3], "y": [2, 4]}
    rows = ["a.png,1,2,3,4"]
    changes = {"header": header, "columns": names} if is_named else {"header": rows.pop(), "columns": numbers}
    (found,) = list_samples(section(tmp_path, rows, **changes))
    assert isinstance(found.target, tuple)
    assert [point[:2] for point in found.target] == [(1, 2), (3, 4)]  # type: ignore[index]


def test_columns_tell_split_and_group(tmp_path: Path) -> None:
    columns = {**COLUMNS, "split": "side", "group": "person"}
    rows = ["a.png,1,2,1,3,train,x", "b.png,,,,,val,y"]
    found = list_samples(section(tmp_path, rows, header=f"{HEADER},side,person", columns=columns))
    assert [(sample.split, sample.group) for sample in found] == [("train", "x"), ("val", "y")]


REFUSED = [
    # rows                               path                  what is wrong, and where
    (["a.png,nan,2,4,5"], "data.points",
     "have no numbers as x and y of a point: 1 (row 2: 'nan', '2' for tip)"),
    (["a.png,1,2,4,", "b.png,1,2,x,y"], "data.points",
     "have no numbers as x and y of a point: 2 (row 2: '4', '' for tail, row 3: 'x', 'y' for tail)"),
    (["a.png,1,2,4,5", "a.png,1,2,4,5"], "data.columns.file",
     "name a file that another row names, too: 2 (row 2: a.png, row 3: a.png)"),
    (["z.png,1,2,4,5"], "data.columns.file", "name a file that ROOT does not have: 1 (row 2: z.png)"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "path", "problem"), REFUSED)
def test_wrong_row_is_refused_with_its_number(
    rows: list[str], path: str, problem: str, tmp_path: Path
) -> None:
    with refused(path) as caught:
        list_samples(section(tmp_path, rows))
    assert caught.value.problem == f"rows of points.csv that {problem.replace('ROOT', str(tmp_path))}"


def test_number_of_points_that_varies_is_refused_with_the_row(tmp_path: Path) -> None:
    with refused("points.csv", hint="correct them") as caught:
        list_samples(section(tmp_path, ["a.png,1,2,4,5", "b.png,1,2"]))
    assert "another number of cells than the first, which has 5: 1 (row 3: 3 cells)" in caught.value.problem


def test_column_of_a_point_that_is_missing_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with refused("data.columns.x", got="tial_x", hint="did you mean 'tail_x'?"):
        list_samples(section(tmp_path, ["a.png,1,2,4,5"], points=["tip", "tial"]))


def test_points_in_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    with refused("points.csv", hint="as points are in pixels"):
        list_samples(section(tmp_path, ["a.png,0.1,0.2,0.5,1"]))


def test_points_need_names_and_columns_and_have_one_class_at_most(tmp_path: Path) -> None:
    rows = ["a.png,1,2,4,5"]
    assert len(list_samples(section(tmp_path, rows, classes=["clock"]))) == 1
    with refused("data.points", got=None, allowed="the names of the points, in the order of their indices"):
        list_samples({**section(tmp_path, rows), "points": None})
    with refused("data.classes", got=2, hint="merge some of them"):
        list_samples(section(tmp_path, rows, classes=["clock", "watch"]))
    for columns, got in (
        ({"file": "image", "x": "tip_x"}, "tip_x"),
        ({"file": "image", "x": ["tip_x"]}, ["tip_x"]),
    ):
        allowed = "a list of 2 columns, one for each of data.points"
        with refused("data.columns.x", got=got, allowed=allowed):
            list_samples(section(tmp_path, rows, columns=columns))
