"""Format `coco`: images anywhere in the archive, and JSON files of their boxes, as the COCO data set has them.

Source: Lin et al. 2014, arXiv:1405.0312; https://cocodataset.org/#format-data, the lists `images`, `annotations` and
`categories`. `data.table` is the name of the JSON file in the archive, or `../<name>` if it lies beside it; with
`{split}` in its name, such as `instances_{split}.json`, there is one for each of train, val and test, or train and val.
A category is a class by its name, whatever its id. `bbox` is [x, y, width, height] in pixels; crowds (`iscrowd`) are
ignored objects. Outlines of objects (`segmentation`) and keypoints are not used. For names of files see `find_files`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from unicodedata import normalize

from pipeline.data.archive import Archive
from pipeline.data.box_files import check_corners, find_label, list_samples
from pipeline.data.facts import SPLIT_NAME, SPLITS, Facts
from pipeline.data.faults import Faults
from pipeline.data.places import Box, check_unit
from pipeline.data.sources import Sample, index_classes
from pipeline.data.table_files import find_files, has_table_file, read_table_file
from pipeline.errors import ConfigError

TARGET = "boxes"
FACTS = ("table",)
FEWEST_CLASSES = 1
LISTS_OF_FILE = ("images", "annotations", "categories")
BBOX = "bbox is [x, y, width, height] in pixels"


def check_facts(facts: Facts) -> None:
    """Check that several files lie in the archive.

    Raises:
        ConfigError: they lie outside.
    """
    table = facts.table or ""
    if SPLIT_NAME in table and table.startswith(("../", "/")):
        raise ConfigError(
            "data.table", got=table, allowed="the name of files in data.root, if there are several"
        )


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the JSON files name, sorted by name.

    Raises:
        ConfigError: a file is damaged, or images, categories or annotations do not fit each other.
    """
    assert facts.table is not None
    found: dict[str, tuple[Box, ...]] = {}
    splits: dict[str, str] = {}
    for split, name in _files(archive, facts).items():
        boxes = _read(archive, replace(facts, table=name))
        twice = found.keys() & boxes.keys()
        if twice:
            problem = f"names images that another split has, too: {len(twice):,}, such as {min(twice)}"
            raise ConfigError(name, problem, hint="keep each image in one of the files")
        found |= boxes
        splits |= dict.fromkeys(boxes, split)
    ends = (max(box.x_max, box.y_max) for each in found.values() for box in each)
    check_unit(ends, "boxes", facts.table)
    return list_samples(found, splits if SPLIT_NAME in facts.table else None, archive, facts)


def _files(archive: Archive, facts: Facts) -> dict[str, str]:
    """Return split -> name of its file; test may be missing."""
    table = facts.table or ""
    if SPLIT_NAME not in table:
        return {"": table}
    names = {split: table.replace(SPLIT_NAME, split) for split in SPLITS}
    if not has_table_file(archive, replace(facts, table=names["test"])):
        del names["test"]
    return names


def _read(archive: Archive, facts: Facts) -> dict[str, tuple[Box, ...]]:
    """Return the boxes of each image that a file names."""
    name = str(facts.table)
    lists = _parse(read_table_file(archive, facts), name)
    faults = Faults(name)
    images = _read_images(lists["images"], name, archive, faults)
    categories = _read_categories(lists["categories"], faults)
    faults.check()  # what follows looks them up
    boxes: dict[str, list[Box]] = {file: [] for file in images.values()}
    identifiers: dict[Any, None] = {}
    classes = index_classes(facts)
    for each in lists["annotations"]:
        where = f"annotation {_identifier(each, 'annotation', identifiers, faults)}"
        identifiers[each.get("id")] = None
        if each.get("image_id") not in images:
            way = "add the image, or remove them"
            faults.note(
                "annotations of images that it does not have", f"{where} of {each.get('image_id')}", way=way
            )
        elif box := _box(each, where, categories, classes, faults):
            boxes[images[each["image_id"]]].append(box)
    faults.check()
    return {file: tuple(each) for file, each in boxes.items()}


def _read_images(
    entries: Sequence[Mapping[str, Any]], name: str, archive: Archive, faults: Faults
) -> dict[Any, str]:
    """Return id -> file of images."""
    known = set(archive.names())
    files = find_files([str(each.get("file_name", "")) for each in entries], name, known)
    images: dict[Any, str] = {}
    for each, file in zip(entries, files, strict=True):
        images[_identifier(each, "image", images, faults)] = file
    for file, count in Counter(files).items():
        if count > 1:
            faults.note("images that name the same file", file, way="keep one of them")
        if file not in known:
            faults.note(
                f"images whose file {archive.root} does not have", file or "without file_name", way="add it"
            )
    return images


def _read_categories(entries: Sequence[Mapping[str, Any]], faults: Faults) -> dict[Any, str]:
    """Return id -> name of categories."""
    categories: dict[Any, str] = {}
    for each in entries:
        identifier, told = _identifier(each, "category", categories, faults), each.get("name")
        if not isinstance(told, str) or not told:
            faults.note("categories without a name", f"category {identifier}", way="give each a name")
        categories[identifier] = normalize("NFC", str(told))
    return categories


def _parse(data: bytes, name: str) -> dict[str, list[dict[str, Any]]]:
    """Return the lists of a file."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as reason:
        raise ConfigError(name, f"is not JSON ({reason})", hint="restore an intact copy") from None
    for key in LISTS_OF_FILE:
        told = content.get(key) if isinstance(content, dict) else None
        if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
            raise ConfigError(
                name,
                f"has no list of {key}",
                hint=f"write it as COCO does, with the lists {', '.join(LISTS_OF_FILE)}",
            )
    return content  # type: ignore[no-any-return]


def _identifier(each: Mapping[str, Any], what: str, known: Mapping[Any, Any], faults: Faults) -> Any:
    """Return the id of an entry; note one that is missing, or of another entry."""
    identifier = each.get("id")
    if not isinstance(identifier, int | str):
        faults.note(f"entries of {what} without an id", str(each)[:60], way="number them")
        return None
    if identifier in known:
        faults.note(f"ids of more than one {what}", str(identifier), way="give each an id of its own")
    return identifier


def _box(
    each: Mapping[str, Any],
    where: str,
    categories: Mapping[Any, str],
    classes: Mapping[str, int],
    faults: Faults,
) -> Box | None:
    """Return the box of an annotation; None if there is something wrong with it, which is noted."""
    bbox = each.get("bbox")
    if not isinstance(bbox, list) or not all(type(side) in (int, float) for side in bbox):
        faults.note("annotations without a bbox", where, way=BBOX)
        return None
    if len(bbox) != 4:
        kind = "rotated boxes (bbox with an angle)" if len(bbox) == 5 else f"boxes of {len(bbox)} numbers"
        faults.note(kind, where, way=f"{BBOX}; write the upright box around each object")
        return None
    if each.get("category_id") not in categories:
        way = "add the category, with its name"
        faults.note(
            "annotations of categories without a name", f"{where}: {each.get('category_id')}", way=way
        )
        return None
    x, y, width, height = map(float, bbox)
    corners = (x, y, x + width, y + height)
    is_box = check_corners(faults, corners, f"{where}: {bbox}", way=BBOX)
    label = find_label(faults, categories[each["category_id"]], classes, where)
    if not is_box or label is None:
        return None
    return Box(*corners, label, bool(each.get("iscrowd")), where)
