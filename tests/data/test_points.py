"""Points: how they are resized, hidden, swapped in mirror images, counted and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.places import Point
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.sources import Sample
from pipeline.data.targets.points import Points
from pipeline.pictures.colours import colour_of
from tests.makers import data_section, encode
from tests.place_makers import write_points
from tests.refusals import refused

UNSEEN = Point(0, 0, is_labelled=False)
NAMES = ["tip", "middle", "tail"]


def facts_of(root: Path | str = "nowhere", **changes: Any) -> Facts:
    return Facts(**data_section(root, **{"shape": [1, 20, 20], "points": NAMES, "classes": [], **changes}))


def read(points: list[Point], sides: tuple[int, int] = (10, 20), **facts: Any) -> np.ndarray:
    """Return the prepared points of an image of some rows and columns."""
    sample, image = Sample("a.png", "train", tuple(points)), encode(np.zeros(sides, np.uint8))
    return Points().read(sample, None, facts_of(**facts), image=image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("squash", [[2, 4, 1], [0, 0, 0], [19, 19, 1]]),
        ("letterbox", [[2, 7, 1], [0, 0, 0], [19, 14.5, 1]]),
        ("crop", [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),  # the middle 10 columns
    ],
)
def test_points_are_resized_with_their_image_and_hidden_outside(
    resize: str, expected: list[list[float]]
) -> None:
    found = read([Point(2, 2), UNSEEN, Point(19, 9.5)], resize=resize)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_point_in_the_middle_of_an_image_stays_there_however_it_is_resized() -> None:
    for resize in ("squash", "letterbox", "crop"):
        found = read([Point(10, 5), Point(10, 5), Point(10, 5)], resize=resize)
        np.testing.assert_allclose(found, [[10, 10, 1]] * 3)


@pytest.mark.parametrize("point", [Point(22, 2), Point(-2, 2), Point(2, 12), Point(2, -2)])
def test_point_outside_of_its_image_is_refused_with_its_row(point: Point) -> None:
    text = (
        f"a.png: has 20 x 10 pixels, and points outside of them: 1, such as {point.x:g} {point.y:g} (row 7 of "
        "points.csv); give x and y in pixels of the image as it is seen, turned as EXIF says; leave the cells of "
        "points empty that it does not show"
    )
    with refused("a.png", text=text):
        read([Point(0, 0), UNSEEN, point._replace(where="row 7 of points.csv")])


def test_prepared_folder_holds_points_and_the_sides_of_files(tmp_path: Path) -> None:
    write_points(tmp_path / "data")
    (tmp_path / "out").mkdir()
    more = {"format": "csv_points", "table": "points.csv", "points": ["left", "right"]}
    facts = facts_of(tmp_path / "data", shape=[1, 16, 8], columns={"file": "file"}, **more)
    write_prepared(facts, tmp_path / "out", data_digest="sha256:0")
    prepared = Prepared.open(tmp_path / "out", facts)
    sides = prepared.sides("val")
    assert sides is not None
    assert sides.tolist() == [[8, 8]] * 6
    expected = [[[1, 5, 1], [2, 5, 1]], [[1, 7, 1], [0, 0, 0]], [[0, 0, 0]] * 2]
    np.testing.assert_allclose(prepared.targets("val")[:3], expected)
    assert prepared.count_classes("train", 0) == []
    assert prepared.about()["images_of_classes"]["train"] == []
    rows = (tmp_path / "out" / "manifest.csv").read_text().splitlines()
    assert [row.split(",")[3] for row in rows[:4]] == ["points", "1 2.5; 2 2.5", "1 3.5; none", "none; none"]


def test_point_without_a_label_in_training_is_refused(tmp_path: Path) -> None:
    samples = [Sample("a.png", "train", (Point(1, 1), Point(2, 2), UNSEEN))]
    samples.append(Sample("b.png", "val", (Point(1, 1), Point(2, 2), Point(3, 3))))
    with refused("data.points", hint="label it in some, or remove it") as caught:
        Points().check(samples, facts_of(tmp_path))
    assert caught.value.problem == f"no training image of {tmp_path} has the point 'tail'"


def test_marks_are_the_visible_points_with_their_names() -> None:
    marks = Points().marks(np.array([[1, 2, 1], [0, 0, 0], [5, 6, 1]], np.float32), facts_of())
    assert marks.points.tolist() == [[1, 2], [5, 6]]
    assert (list(marks.colours), list(marks.names)) == ([colour_of(0), colour_of(2)], ["tip", "tail"])


@pytest.mark.parametrize(
    ("swapped", "got", "hint"),
    [
        ({"tip": "tial"}, "tial", "did you mean 'tail'?"),
        ({"tip": "tip"}, "tip", "name each pair once"),
        ({"tip": "tail", "tail": "tip"}, "tip", "name each pair once"),
    ],
)
def test_pairs_of_other_points_and_points_in_two_pairs_are_refused(
    swapped: dict[str, str], got: str, hint: str
) -> None:
    with refused("data.swapped_points", got=got, hint=hint):
        facts_of(swapped_points=swapped)
