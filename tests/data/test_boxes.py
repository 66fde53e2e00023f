"""Boxes: how they are resized, clipped and dropped, counted and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.external import prepare_external
from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing
from pipeline.data.places import Box
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.sources import Sample
from pipeline.data.targets.boxes import Boxes, settle
from pipeline.pictures.colours import colour_of
from tests.makers import data_section, encode
from tests.place_makers import write_boxes
from tests.refusals import refused

NONE = [0, 0, 0, 0, -1, 0]
COLUMNS = {name: name for name in ("file", "x_min", "y_min", "x_max", "y_max", "label")}


def read(boxes: list[Box], sides: tuple[int, int] = (10, 20), **facts: Any) -> np.ndarray:
    """Return the prepared boxes of an image of some rows and columns."""
    section = data_section("nowhere", **{"shape": [1, 20, 20], **facts})
    sample, image = Sample("a.png", "train", tuple(boxes)), encode(np.zeros(sides, np.uint8))
    return Boxes().fitted([sample]).read(sample, None, Facts(**section), image=image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("squash", [[2, 4, 10, 20, 1, 0], [0, 0, 20, 20, 0, 1]]),
        ("letterbox", [[2, 7, 10, 15, 1, 0], [0, 5, 20, 15, 0, 1]]),
        # The middle 10 columns, twice as large: of the first, 5 of 8 columns are left.
        ("crop", [[0, 4, 10, 20, 1, 0], [0, 0, 20, 20, 0, 1]]),
    ],
)
def test_boxes_are_resized_with_their_image(resize: str, expected: list[list[float]]) -> None:
    boxes = [Box(2, 2, 10, 10, 1), Box(0, 0, 20, 10, 0, is_ignored=True)]
    np.testing.assert_allclose(read(boxes, resize=resize), expected, atol=1e-5)


@pytest.mark.parametrize("min_visible", [0.2, 0.3])
def test_box_that_a_crop_cuts_is_dropped_below_the_declared_share(min_visible: float) -> None:
    found = read([Box(2, 0, 6, 10, 1), Box(8, 2, 9, 3, 0)], resize="crop", min_visible=min_visible)
    kept, other = [0, 0, 2, 20, 1, 0], [6, 4, 8, 6, 0, 0]  # a quarter of the first is left
    np.testing.assert_allclose(found, [kept, other] if min_visible < 0.25 else [other, NONE], atol=1e-5)


def test_box_of_less_than_a_pixel_is_dropped() -> None:
    boxes = [Box(0, 0, 4, 4, 1), Box(10, 10, 40, 40, 0)]
    np.testing.assert_allclose(read(boxes, (100, 100)), [[2, 2, 8, 8, 0, 0], NONE], atol=1e-5)


@given(
    boxes=st.lists(st.tuples(*[st.integers(0, 60)] * 4), min_size=1, max_size=5),
    sides=st.tuples(st.integers(2, 90), st.integers(2, 90)),
    resize=st.sampled_from(["squash", "letterbox"]),
)
def test_way_back_leads_to_the_pixels_of_the_file(
    boxes: list[tuple[int, ...]], sides: tuple[int, int], resize: str
) -> None:
    rows, columns = sides
    given_boxes = [
        Box(
            x % columns,
            y % rows,
            x % columns + 1 + w % (columns - x % columns),
            y % rows + 1 + h % (rows - y % rows),
            0,
        )
        for x, y, w, h in boxes
    ]
    facts: dict[str, Any] = {"shape": [1, 64, 48], "resize": resize, "min_visible": 0.0}
    found = read(given_boxes, sides, **facts)
    place = find_resizing(Facts(**data_section("nowhere", **facts))).place(sides)
    back = place.to_original(found[:, :4].astype(float).reshape(-1, 2, 2)).reshape(-1, 4)
    areas = [
        (x_max - x_min) * (y_max - y_min) * np.prod(place.scale)
        for x_min, y_min, x_max, y_max, *_ in given_boxes
    ]
    expected = [box[:4] for box, area in zip(given_boxes, areas, strict=True) if area > 1.001]
    np.testing.assert_allclose(back[: len(expected)], np.array(expected).reshape(-1, 4), atol=1e-3)


@pytest.mark.parametrize(
    "box", [Box(15, 2, 22, 8, 0), Box(-2, 2, 5, 8, 0), Box(1, 2, 5, 12, 0), Box(30, 30, 40, 40, 0)]
)
def test_box_outside_of_its_image_is_refused_with_its_row(box: Box) -> None:
    corners = " ".join(f"{side:g}" for side in box[:4])
    text = (
        f"a.png: has 20 x 10 pixels, and boxes outside of them: 1, such as {corners} (row 7 of boxes.csv); give x_min, "
        "y_min, x_max and y_max in pixels of the image as it is seen, turned as EXIF says"
    )
    with refused("a.png", text=text):
        read([Box(0, 0, 2, 2, 0), box._replace(where="row 7 of boxes.csv")])


def test_box_that_leaves_its_image_by_rounding_is_clipped() -> None:
    np.testing.assert_allclose(read([Box(-0.4, 0, 20.6, 10.9, 1)]), [[0, 0, 20, 20, 1, 0]])


def test_settled_boxes_are_clipped_and_keep_their_order_before_empty_rows() -> None:
    boxes = [[-5, 0, 5, 4, 3, 0], [-9, 0, 1, 4, 2, 0], [8, 8, 8.5, 9, 1, 0], [2, 2, 12, 6, 0, 1]]
    found = settle(np.array([boxes, [NONE] * 4], np.float32), (10, 10), 0.25)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [[0, 0, 5, 4, 3, 0], [2, 2, 10, 6, 0, 1], NONE, NONE])
    np.testing.assert_allclose(found[1], [NONE] * 4)


def facts_of(root: Path, **changes: Any) -> Facts:
    section = {"format": "csv_boxes", "table": "boxes.csv", "columns": COLUMNS, **changes}
    return Facts(**data_section(root, **section))


def test_prepared_folder_holds_boxes_with_room_for_the_most_and_the_sides_of_files(tmp_path: Path) -> None:
    write_boxes(tmp_path / "data", sides=(12, 10))
    (tmp_path / "out").mkdir()
    facts = facts_of(tmp_path / "data", shape=[1, 24, 20])
    write_prepared(facts, tmp_path / "out", data_digest="sha256:0")
    prepared = Prepared.open(tmp_path / "out", facts)
    targets, sides = prepared.targets("val"), prepared.sides("val")
    assert targets.shape == (6, 2, 6)
    assert sides is not None
    assert sides.tolist() == [[12, 10]] * 6
    np.testing.assert_allclose(targets[0], [[2, 4, 10, 14, 0, 0], NONE])
    np.testing.assert_allclose(targets[2], [[2, 4, 10, 14, 0, 0], [1, 0, 20, 8, 0, 0]])
    assert (targets[3] == NONE).all()
    assert prepared.count_classes("train", 2) == [4, 2]  # images in turn: cat, dog, two cats, none, cat, dog
    assert prepared.about()["images_of_classes"]["train"] == [3, 2]
    rows = (tmp_path / "out" / "manifest.csv").read_text().splitlines()
    assert rows[0] == "split,index,file,boxes,group,digest"
    assert rows[3].split(",")[3] == "1 2 5 7 0; 0.5 0 10 4 0"


def test_external_test_set_has_room_for_its_own_boxes(tmp_path: Path) -> None:
    write_boxes(tmp_path / "data", splits=("test",), num_images=2)
    (tmp_path / "out").mkdir()
    prepared = prepare_external(facts_of(tmp_path / "data"), tmp_path / "out", split="test")
    assert prepared.targets("test").shape == (2, 1, 6)
    assert prepared.sides("test") is not None


def test_class_without_a_box_in_training_is_refused(tmp_path: Path) -> None:
    samples = [Sample("a.png", "train", (Box(0, 0, 2, 2, 0), Box(0, 0, 2, 2, 1, is_ignored=True)))]
    samples.append(Sample("b.png", "val", (Box(0, 0, 2, 2, 1),)))
    with refused("data.classes", hint="add some or remove the class") as caught:
        Boxes().check(samples, facts_of(tmp_path))
    assert caught.value.problem == f"no training image of {tmp_path} has a box of class 'dog'"


def test_images_whose_boxes_are_dropped_are_counted_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_boxes(tmp_path / "data", sides=(8, 40))
    (tmp_path / "out").mkdir()
    write_prepared(facts_of(tmp_path / "data", resize="crop"), tmp_path / "out", data_digest="sha256:0")
    text = "data.resize: images whose boxes it cuts or shrinks to less than data.min_visible or one pixel: "
    assert f"{text}15, such as test/000.png; these boxes are dropped" in capsys.readouterr().err


def test_ignored_boxes_are_neither_counted_nor_present() -> None:
    targets = np.array([[[0, 0, 2, 2, 1, 0], [0, 0, 2, 2, 0, 1]], [NONE, NONE]], np.float32)
    kind = Boxes(2)
    assert kind.count(targets, 2) == [0, 1]
    assert kind.present(targets[0]).tolist() == [1]
    assert kind.present(targets[1]).tolist() == []


def test_marks_are_the_boxes_with_the_names_of_their_classes(tmp_path: Path) -> None:
    target = np.array([[0, 0, 2, 2, 1, 0], [1, 0, 2, 2, 0, 1], NONE], np.float32)
    marks = Boxes(3).marks(target, facts_of(tmp_path))
    assert marks.boxes.tolist() == [[0, 0, 2, 2], [1, 0, 2, 2]]
    assert (list(marks.colours), list(marks.names)) == ([colour_of(1), colour_of(0)], ["dog", "cat"])
    assert list(marks.is_dashed) == [False, True]
