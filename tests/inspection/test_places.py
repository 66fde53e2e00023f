"""Layouts with boxes or points: each known format is found, with the facts that it needs to be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.data.sources import check_source, find_target, load_source, open_source
from pipeline.inspection.layout import find_layout
from tests.data.test_voc import voc_object
from tests.makers import data_section, encode, write_files
from tests.place_makers import write_boxes, write_points

PIXELS = [encode(np.full((8, 8), 9 * index, np.uint8)) for index in range(3)]
IMAGES = {
    f"images/{split}/{index}.png": data for split in ("train", "val") for index, data in enumerate(PIXELS)
}


def write_coco(root: Path) -> None:
    files = dict(IMAGES)
    for split in ("train", "val"):
        images = [{"id": index, "file_name": f"{split}/{index}.png"} for index in range(3)]
        boxes = [{"id": i, "image_id": i, "category_id": 2 + i % 2, "bbox": [1, 1, 4, 4]} for i in range(3)]
        categories = [{"id": 3, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 9, "name": "unused"}]
        content = {"images": images, "annotations": boxes, "categories": categories}
        files[f"annotations/boxes_{split}.json"] = json.dumps(content).encode()
    write_files(root, files)


def write_yolo(root: Path) -> None:
    names = [name.replace("images/", "labels/").replace(".png", ".txt") for name in IMAGES]
    texts = dict.fromkeys(names, b"1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.1 0.1\n")
    write_files(root, IMAGES | texts | {"data.yaml": b"nc: 2\nnames: {0: dog, 1: cat}"})


def write_voc(root: Path) -> None:
    files = {f"JPEGImages/{index}.png": encode(np.full((8, 8), 9 * index, np.uint8)) for index in range(4)}
    text = f"<annotation>{voc_object('dog', '1 1 5 5')}{voc_object('cat', '2 2 7 7')}</annotation>"
    xml = {f"Annotations/{index}.xml": text.encode() for index in range(4)}
    sets = {"ImageSets/Main/train.txt": b"0\n1\n", "ImageSets/Main/val.txt": b"2\n3\n"}
    write_files(root, files | xml | sets)


FORMATS: list[tuple[Callable[[Path], Any], dict[str, Any]]] = [
    (write_coco, {"format": "coco", "table": "annotations/boxes_{split}.json", "classes": ["dog", "cat"]}),
    (write_yolo, {"format": "yolo", "classes": ["dog", "cat"], "split": "folders"}),
    (write_voc, {"format": "voc", "classes": ["cat", "dog"], "split": "folders"}),
    (
        lambda root: write_boxes(root, splits=()),
        {
            "format": "csv_boxes",
            "table": "boxes.csv",
            "classes": ["cat", "dog"],
            "columns": {name: name for name in ("file", "x_min", "y_min", "x_max", "y_max", "label")},
        },
    ),
    (
        lambda root: write_points(root, splits=()),
        {
            "format": "csv_points",
            "table": "points.csv",
            "classes": [],
            "points": ["left", "right"],
            "columns": {"file": "file"},
        },
    ),
]
EACH = pytest.mark.parametrize(
    ("write", "expected"), FORMATS, ids=[expected["format"] for _, expected in FORMATS]
)


@EACH
@pytest.mark.parametrize("name", ["data", "data.zip"])
def test_format_is_found_with_facts_by_which_it_is_read(
    name: str, write: Callable[[Path], Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path / name)
    found = find_layout(tmp_path / name, max_bytes=2**28)
    assert found == {"root": str(tmp_path / name), **expected}
    section = {**data_section(tmp_path, split={"val": 0.3, "test": 0.2, "seed": 0}), **found}
    facts = Facts(**section)
    check_source(facts)
    with open_source(facts) as archive:
        samples = load_source(facts.format).samples(archive, facts)
    assert len(samples) >= 4
    assert find_target(facts) == ("points" if found["format"] == "csv_points" else "boxes")


@pytest.mark.parametrize("table", ["boxes", "points"])
def test_table_of_places_may_be_named_itself(table: str, tmp_path: Path) -> None:
    {"boxes": write_boxes, "points": write_points}[table](tmp_path, splits=())
    found = find_layout(tmp_path / f"{table}.csv", max_bytes=2**28)
    assert (found["format"], found["root"]) == (f"csv_{table}", str(tmp_path))


OTHERS = [("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("Left", "Top", "Right", "Bottom")]


@pytest.mark.parametrize("names", OTHERS)
def test_sides_of_boxes_are_found_by_other_names(names: tuple[str, ...], tmp_path: Path) -> None:
    rows = ["filename," + ",".join(names) + ",class", "1.png,1,1,4,4,cat", "1.png,2,2,4,4,dog", "2.png,,,,,"]
    images = {f"{index}.png": encode(np.zeros((8, 8), np.uint8)) for index in (1, 2)}
    write_files(tmp_path, images | {"boxes.csv": "\n".join(rows).encode()})
    found = find_layout(tmp_path, max_bytes=2**28)
    sides = dict(zip(("x_min", "y_min", "x_max", "y_max"), names, strict=True))
    assert found["columns"] == {"file": "filename", **sides, "label": "class"}


def test_boxes_without_labels_are_of_one_class(tmp_path: Path) -> None:
    rows = ["filename,xmin,ymin,xmax,ymax", "1.png,1,1,4,4", "2.png,2,2,4,4"]
    images = {f"{index}.png": encode(np.zeros((8, 8), np.uint8)) for index in (1, 2)}
    write_files(tmp_path, images | {"boxes.csv": "\n".join(rows).encode()})
    found = find_layout(tmp_path, max_bytes=2**28)
    assert (found["format"], found["classes"]) == ("csv_boxes", ["object"])
    assert "label" not in found["columns"]


def test_classes_of_yolo_without_names_are_called_by_their_indices(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    assert find_layout(tmp_path, max_bytes=2**28)["classes"] == ["0", "1"]


def test_other_json_and_text_files_change_nothing(tmp_path: Path) -> None:
    files = {f"{label}/{index}.png": PIXELS[index] for label in ("cat", "dog") for index in range(3)}
    write_files(tmp_path, files | {"notes.json": b"{", "README.txt": b"", "more.json": b'{"images": 3}'})
    assert find_layout(tmp_path, max_bytes=2**28)["format"] == "class_folders"
