"""Somebody's folder of images with boxes or points, in each format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.data.test_voc import voc_object
from tests.makers import encode, write_files

NUM_IMAGES = 40
NAMES = ("ant", "bee")
POINTS = ("nose", "tail")
SIDES = ("x_min", "y_min", "x_max", "y_max")

Boxes = Mapping[str, Sequence[tuple[int, int, int, int, int]]]


def write_folder(root: Path, form: str, *, most: int) -> None:
    """Write images of mixed sizes with bright boxes of two classes, a quarter of them empty, or with two points."""
    random, files = np.random.default_rng(0), {}
    boxes: dict[str, list[tuple[int, int, int, int, int]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for index in range(NUM_IMAGES):
        rows, columns = map(int, random.integers(20, 60, 2))
        pixels = random.integers(0, 60, (rows, columns), dtype=np.uint8)
        name, boxes[name], sizes[name] = (name := f"{index:03}.png"), [], (rows, columns)
        for label in range((1, 1, 2, 0)[index % 4] if form != "csv_points" else 1)[:most]:
            left, top = int(random.integers(0, columns - 12)), int(random.integers(0, rows - 10))
            boxes[name].append((left, top, left + 12, top + 10, (label + index) % 2))
            pixels[top : top + 10, left : left + 12] = 120 + 100 * ((label + index) % 2)
        files[name] = encode(pixels)
    write_files(root, WRITERS[form](files, boxes, sizes))


def _coco(files: dict[str, bytes], boxes: Boxes, sizes: Mapping[str, tuple[int, int]]) -> dict[str, bytes]:
    del sizes
    names = list(files)
    annotations = [
        {"image_id": names.index(name), "category_id": label + 3, "bbox": [x, y, right - x, bottom - y]}
        for name, each in boxes.items()
        for x, y, right, bottom, label in each
    ]
    content = {
        "images": [{"id": index, "file_name": name} for index, name in enumerate(names)],
        "annotations": [{"id": index, **each} for index, each in enumerate(annotations)],
        "categories": [{"id": index + 3, "name": name} for index, name in enumerate(NAMES)],
    }
    return {**files, "boxes.json": json.dumps(content).encode()}


def _yolo(files: dict[str, bytes], boxes: Boxes, sizes: Mapping[str, tuple[int, int]]) -> dict[str, bytes]:
    made = {f"images/{name}": content for name, content in files.items()}
    for name, each in boxes.items():
        rows, columns = sizes[name]
        lines = [
            f"{label} {(x + right) / 2 / columns} {(y + bottom) / 2 / rows} {(right - x) / columns} "
            f"{(bottom - y) / rows}"
            for x, y, right, bottom, label in each
        ]
        made[f"labels/{name.replace('.png', '.txt')}"] = "\n".join(lines).encode()
    return {**made, "data.yaml": f"names: [{', '.join(NAMES)}]".encode()}


def _voc(files: dict[str, bytes], boxes: Boxes, sizes: Mapping[str, tuple[int, int]]) -> dict[str, bytes]:
    del sizes
    made = {f"JPEGImages/{name}": content for name, content in files.items()}
    for name, each in boxes.items():
        objects = [
            voc_object(NAMES[label], f"{x + 1} {y + 1} {right} {bottom}")
            for x, y, right, bottom, label in each
        ]
        text = f"<annotation>{''.join(objects)}</annotation>"
        made[f"Annotations/{name.replace('.png', '.xml')}"] = text.encode()
    return made


def _csv_boxes(
    files: dict[str, bytes], boxes: Boxes, sizes: Mapping[str, tuple[int, int]]
) -> dict[str, bytes]:
    del sizes
    rows = [",".join(("file", *SIDES, "label"))]
    for name, each in boxes.items():
        rows += [",".join(map(str, (name, *box, NAMES[label]))) for *box, label in each] or [f"{name},,,,,"]
    return {**files, "boxes.csv": "\n".join(rows).encode()}


def _csv_points(
    files: dict[str, bytes], boxes: Boxes, sizes: Mapping[str, tuple[int, int]]
) -> dict[str, bytes]:
    del sizes
    rows = [",".join(["file", *(f"{point}_{axis}" for point in POINTS for axis in "xy")])]
    rows += [",".join(map(str, (name, *box))) for name, ((*box, _),) in boxes.items()]
    return {**files, "points.csv": "\n".join(rows).encode()}


WRITERS: dict[str, Callable[..., dict[str, bytes]]] = {
    "coco": _coco,
    "yolo": _yolo,
    "voc": _voc,
    "csv_boxes": _csv_boxes,
    "csv_points": _csv_points,
}
