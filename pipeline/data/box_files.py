"""Boxes that are told in files of their own: checks of each, the splits of their folders, and images without any."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from math import isfinite

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.faults import Faults
from pipeline.data.places import Box
from pipeline.data.sources import Sample
from pipeline.data.table_rows import make_samples
from pipeline.errors import ConfigError

SPLITS_OF_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
PIXELS = "write x_min, y_min, x_max and y_max in pixels, where the box begins and where it ends"
CLASSES = "correct the name, or add it to data.classes"


def check_corners(faults: Faults, corners: Sequence[float], where: str, *, way: str = PIXELS) -> bool:
    """Note a box whose corners are no numbers, or that has no area; return whether it is one."""
    if not all(map(isfinite, corners)):
        faults.note("boxes whose corners are no finite numbers", where, way=way)
    elif corners[2] < corners[0] or corners[3] < corners[1]:
        faults.note("boxes that end before they begin", where, way=way)
    elif corners[2] == corners[0] or corners[3] == corners[1]:
        faults.note("boxes of no area", where, way="correct or remove them")
    else:
        return True
    return False


def find_label(faults: Faults, name: str, classes: Mapping[str, int], where: str) -> int | None:
    """Return the index of a class by its name; note the name and return None if it is no class."""
    if name not in classes:
        faults.note("boxes of classes that data.classes does not have", f"'{name}', {where}", way=CLASSES)
    return classes.get(name)


def list_samples(
    boxes: Mapping[str, tuple[Box, ...]], splits: Mapping[str, str] | None, archive: Archive, facts: Facts
) -> list[Sample]:
    """Return the samples of images, sorted by name, and say how many have no box.

    Args:
        boxes: of each image.
        splits: of each image; None to draw them, or to take those of the first folders.
    """
    if not boxes:
        raise ConfigError("data.root", f"{archive.root} has no image", hint="name another archive")
    empty = [name for name, each in boxes.items() if not each]
    if empty:
        sys.stderr.write(
            f"data: {len(empty):,} of {len(boxes):,} images of {archive.root}, such as {min(empty)}, have no box; they "
            "are kept as images without an object\n"
        )
    files = sorted(boxes)
    cells = {} if splits is None else {"split": [splits[name] for name in files]}
    return make_samples(boxes, dict.fromkeys(files, 0), files, cells, archive, facts)


def split_by_folders(files: Sequence[str], archive: Archive) -> dict[str, str]:
    """Return file -> split, as a folder anywhere in its path is called: train, val (or valid) or test.

    Raises:
        ConfigError: a file has no such folder; the message names it.
    """
    splits = {}
    for file in files:
        found = [SPLITS_OF_FOLDERS[part] for part in file.split("/")[:-1] if part in SPLITS_OF_FOLDERS]
        if not found:
            raise ConfigError(
                "data.root",
                f"{archive.root} has an image outside of folders train, val and test",
                got=file,
                hint="move it there, or set data.split=random to have splits drawn",
            )
        splits[file] = found[0]
    return splits
