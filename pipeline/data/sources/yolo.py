"""Format `yolo`: images in folders `images`, and a text file of boxes for each in folders `labels` beside these.

The boxes of `images/a.png` are in `labels/a.txt`, those of `train/images/a.png` in `train/labels/a.txt`, and those of
`images/train/a.png` in `labels/train/a.txt`; an image without such a file has none. A line is a class index, counted
from 0, and the middle, width and height of a box as shares of the image's sides. With `split: folders`, a folder in the
path of each image is called train, val (or valid) or test. If the archive has a `data.yaml`, its `names` must be
`data.classes`.
"""

from __future__ import annotations

from math import isfinite
from pathlib import PurePosixPath
from typing import Any

import yaml

from pipeline.data.archive import Archive
from pipeline.data.box_files import list_samples, split_by_folders
from pipeline.data.facts import Facts
from pipeline.data.faults import Faults
from pipeline.data.places import Box
from pipeline.data.sources import Sample, is_image
from pipeline.errors import ConfigError

TARGET = "boxes"
FEWEST_CLASSES = 1
NAMES = "data.yaml"
IMAGES, LABELS = "images", "labels"
LINE = "a line is a class index, counted from 0, and x, y, width and height as shares of the image's sides"
SLACK = 1e-3  # share of a side by which boxes may leave their image, as rounded ones do


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images, sorted by name.

    Raises:
        ConfigError: a line is no box, a file of boxes has no image, or classes do not fit.
    """
    names = archive.names()
    _check_names(archive, names, facts)
    images = [name for name in names if is_image(name) and IMAGES in name.split("/")[:-1]]
    if not images:
        hint = "move them there, and their text files into a folder labels beside it"
        raise ConfigError("data.root", f"{archive.root} has no image in a folder images", hint=hint)
    texts = {name for name in names if name.endswith(".txt") and LABELS in name.split("/")[:-1]}
    faults, boxes = Faults(str(archive.root)), {}
    for image in images:
        text = _name_labels(image)
        boxes[image] = _read(archive.read(text), text, facts, faults) if text in texts else ()
    for text in sorted(texts - set(map(_name_labels, images))):
        if not PurePosixPath(text).name.startswith("classes."):
            faults.note("files of boxes without an image", text, way="add the image, or remove the file")
    faults.check()
    splits = split_by_folders(images, archive) if facts.shares is None else None
    return list_samples(boxes, splits, archive, facts)


def _name_labels(image: str) -> str:
    """Return the name of the file of an image's boxes: the last folder `images` becomes `labels`."""
    *folders, name = image.split("/")
    place = len(folders) - 1 - folders[::-1].index(IMAGES)
    folders[place] = LABELS
    return "/".join([*folders, str(PurePosixPath(name).with_suffix(".txt"))])


def _check_names(archive: Archive, names: list[str], facts: Facts) -> None:
    """Raise if `data.yaml` names other classes."""
    if NAMES not in names:
        return
    told = read_names(archive)
    if told is not None and told != facts.classes:
        raise ConfigError(
            "data.classes", got=facts.classes, allowed=f"{told}, as {NAMES} of {archive.root} has them"
        )


def read_names(archive: Archive) -> list[str] | None:
    """Return the names of classes in `data.yaml`; None if it has none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        content: Any = yaml.safe_load(archive.read(NAMES))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(NAMES, "is not YAML", hint="restore an intact copy") from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and all(isinstance(index, int) for index in names):
        names = [names[index] for index in sorted(names)]
    if not isinstance(names, list) or not all(isinstance(name, str | int) for name in names):
        return None
    return [str(name) for name in names]


def _read(data: bytes, name: str, facts: Facts, faults: Faults) -> tuple[Box, ...]:
    """Return the boxes of an image; note what is wrong."""
    boxes = []
    for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), start=1):
        cells, where = line.split(), f"{name} line {number}"
        if not cells:
            continue
        try:
            label, *values = int(cells[0]), *map(float, cells[1:])
        except ValueError:
            faults.note("lines that are no numbers", where, way=LINE)
            continue
        if len(values) != 4:
            kind = "rotated boxes (four corners)" if len(values) == 8 else f"lines of {len(cells)} numbers"
            kind = "outlines instead of boxes" if len(values) > 8 and len(values) % 2 == 0 else kind
            faults.note(kind, where, way=f"{LINE}; write the upright box around each object")
            continue
        box = _box(label, values, where, faults)
        if box is not None and not 0 <= label < len(facts.classes):
            way = "class indices are counted from 0; correct them, or add classes to data.classes"
            problem = f"class indices outside of 0 to {len(facts.classes) - 1}"
            faults.note(problem, f"{label}, {where}", way=way)
        elif box is not None:
            boxes.append(box)
    return tuple(boxes)


def _box(label: int, values: list[float], where: str, faults: Faults) -> Box | None:
    """Return a box in shares of the image's sides; None if it is none, which is noted."""
    x, y, width, height = values
    if not all(map(isfinite, values)):
        faults.note("boxes with numbers that are not finite", where, way=LINE)
    elif width <= 0 or height <= 0:
        faults.note("boxes of no area", where, way="correct or remove them")
    elif max(values) > 1 + SLACK:
        faults.note("boxes that are not in shares of the image's sides, perhaps in pixels", where, way=LINE)
    else:
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if min(corners) >= -SLACK and max(corners) <= 1 + SLACK:
            left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in corners)
            return Box(left, top, right, bottom, label, where=where, is_share=True)
        faults.note("boxes that leave their image", where, way=f"{LINE}; x and y are those of the middle")
    return None
