"""Boxes and points in somebody's archive: which of the known formats tells them, and the facts that follow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLIT_NAME, SPLITS
from pipeline.data.sources import is_image
from pipeline.data.sources.voc import parse
from pipeline.data.sources.yolo import IMAGES, LABELS, NAMES, read_names
from pipeline.data.tables import Table, is_number, is_table
from pipeline.errors import ConfigError
from pipeline.inspection.columns import Columns, Labels, find_file, find_named, read_any, refer

LISTS = ("images", "annotations", "categories")
MOST_FILES = 20  # of JSON that are looked into
# What headers call the sides of a box, in the order of x_min, y_min, x_max and y_max.
SIDES = ("x_min", "y_min", "x_max", "y_max")
BOXES = (
    SIDES,
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
AXES = ("_x", "_y")
ONE_CLASS = "object"  # of boxes without labels
SETS = "ImageSets/Main/train.txt"


def find_places(path: Path, archive: Archive, *, max_bytes: int) -> dict[str, Any] | None:
    """Return the facts of an archive with boxes or points; None if it has none in a format that is known.

    Args:
        max_bytes: size of the largest table that is read.

    Raises:
        ConfigError: a file of annotations cannot be read.
    """
    names = archive.names()
    facts = _of_coco(archive, names) or _of_yolo(archive, names) or _of_voc(archive, names)
    for name in filter(is_table, names):
        facts = facts or _of_table(archive, name, max_bytes)
    return None if facts is None else {"root": str(path), **facts}


def find_place_table(path: Path, name: str, archive: Archive, *, max_bytes: int) -> dict[str, Any] | None:
    """Return the facts of a table of boxes or points that the user named; None if it is none."""
    facts = _of_table(archive, name, max_bytes)
    return None if facts is None else {"root": str(path), **facts}


def _of_coco(archive: Archive, names: Sequence[str]) -> dict[str, Any] | None:
    """Return the facts of JSON files as COCO has them: one, or one for each split."""
    found: dict[str, list[str]] = {}  # name of file -> classes
    for name in [each for each in names if each.lower().endswith(".json")][:MOST_FILES]:
        content = _read_json(archive, name)
        if content is not None:
            found[name] = _classes_of(content)
    if not found:
        return None
    first = next(iter(found))
    for split in SPLITS:
        if split in PurePosixPath(first).name:
            head, _, tail = first.rpartition(split)
            table = f"{head}{SPLIT_NAME}{tail}"
            if {table.replace(SPLIT_NAME, each) for each in ("train", "val")} <= found.keys():
                return {"format": "coco", "table": table, "classes": _merge(found.values())}
    return {"format": "coco", "table": first, "classes": found[first]}


def _read_json(archive: Archive, name: str) -> Mapping[str, Any] | None:
    """Return the contents of a file with the lists of COCO; None if it is another file."""
    try:
        content = json.loads(archive.read(name))
    except (ValueError, RecursionError):  # ConfigError is a ValueError
        return None
    lists = [content.get(key) for key in LISTS] if isinstance(content, dict) else []
    is_coco = bool(lists) and all(isinstance(each, list) and _are_mappings(each) for each in lists)
    return content if is_coco else None


def _are_mappings(entries: Sequence[object]) -> bool:
    return all(isinstance(each, dict) for each in entries)


def _classes_of(content: Mapping[str, Any]) -> list[str]:
    """Return the names of the categories that have annotations, in the order of their ids."""
    used = {each.get("category_id") for each in content["annotations"]}
    names = {each["id"]: str(each.get("name")) for each in content["categories"] if each.get("id") in used}
    return [names[identifier] for identifier in sorted(names, key=lambda each: (isinstance(each, str), each))]


def _of_yolo(archive: Archive, names: Sequence[str]) -> dict[str, Any] | None:
    """Return the facts of text files in folders `labels`; classes without names are called by their indices."""
    folders = [name.split("/")[:-1] for name in names if name.endswith(".txt")]
    if not any(LABELS in each for each in folders) or not any(IMAGES in name.split("/") for name in names):
        return None
    texts = [name for name in names if name.endswith(".txt") and LABELS in name.split("/")[:-1]]
    told = read_names(archive) if NAMES in names else None
    if told is None:
        indices = {
            int(line.split()[0])
            for text in texts
            for line in _lines(archive, text)
            if line.split()[0].isdigit()
        }
        told = [str(index) for index in range(max(indices, default=0) + 1)]
    images = [name for name in names if is_image(name)]
    return {"format": "yolo", "classes": told, **_splits_of(images)}


def _lines(archive: Archive, name: str) -> list[str]:
    return [
        line for line in archive.read(name).decode("utf-8", errors="replace").splitlines() if line.strip()
    ]


def _of_voc(archive: Archive, names: Sequence[str]) -> dict[str, Any] | None:
    """Return the facts of XML files as Pascal VOC has them."""
    roots = [parse(archive.read(name), name) for name in names if name.lower().endswith(".xml")]
    classes = {(each.findtext("name") or "").strip() for root in roots for each in root.findall("object")}
    if not classes:
        return None
    is_listed = any(f"/{name}".endswith(f"/{SETS}") for name in names)
    splits = {"split": "folders"} if is_listed else _splits_of([name for name in names if is_image(name)])
    return {"format": "voc", "classes": sorted(classes), **splits}


def _splits_of(images: Sequence[str]) -> dict[str, Any]:
    """Return the fact `split` if each image lies in a folder of a split."""
    known = {*SPLITS, "valid", "validation"}
    return {"split": "folders"} if all(known & set(name.split("/")[:-1]) for name in images) else {}


def _of_table(archive: Archive, name: str, max_bytes: int) -> dict[str, Any] | None:
    """Return the facts of a table of boxes or points; None if it is none."""
    try:
        table = read_any(archive.read(name), name, max_bytes=max_bytes, told=Labels())
    except ConfigError:
        return None
    columns = _find_boxes(table)
    points = None if columns else _find_points(table)
    file = find_file(table, set(archive.names()), is_each=points is not None) if columns or points else None
    if file is None:
        return None
    more: Columns = {"file": refer(table, file)}
    for key in ("split", "group"):
        index = find_named(table, key)
        if index is not None:
            more[key] = refer(table, index)
    facts: dict[str, Any] = {"table": name}
    if points:
        return {"format": "csv_points", **facts, "columns": more, "points": points, "classes": []}
    assert columns is not None
    label, boxes = find_named(table, "label"), {"format": "csv_boxes", **facts}
    if label is None:
        return {**boxes, "columns": {**more, **columns}, "classes": [ONE_CLASS]}
    classes = dict.fromkeys(row[label] for row in table.rows if row[label])
    return {
        **boxes,
        "columns": {**more, **columns, "label": refer(table, label)},
        "classes": sorted(classes),
    }


def _find_boxes(table: Table) -> dict[str, str] | None:
    """Return the columns of a box by their names; None if the table has none."""
    lower = {name.lower(): name for name in table.header}
    found = next((names for names in BOXES if set(names) <= lower.keys()), None)
    return None if found is None else {key: lower[name] for key, name in zip(SIDES, found, strict=True)}


def _find_points(table: Table) -> list[str] | None:
    """Return the names of points that have columns `<point>_x` and `<point>_y` of numbers; None if there is none."""
    names = [name.removesuffix(AXES[0]) for name in table.header if name.endswith(AXES[0])]
    points = [name for name in names if name and f"{name}{AXES[1]}" in table.header]
    places = [table.header.index(f"{name}{axis}") for name in points for axis in AXES]
    is_told = all(row[place] == "" or is_number(row[place]) for row in table.rows for place in places)
    return points if points and is_told else None


def _merge(classes: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for each in classes for name in each))
