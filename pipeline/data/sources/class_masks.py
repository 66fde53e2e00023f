"""Format `class_masks`: `images/<name>` and a mask per class, `masks/<class>/<name>`, optionally below train/ ....

A file of a class marks its pixels: it has 0 elsewhere, and one other value. An image may lack the files of classes that
it does not show, but not all of them. Pixels that no file marks are of the class without a folder; without such a class
they are `data.ignore_label`. Where several files mark a pixel, it is of the class that `data.classes` names last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.archive import Archive
from pipeline.data.archive import opened as open_archive
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.images import Pixels, open_image
from pipeline.data.masks import count_values, read_values, refuse_lossy
from pipeline.data.sources import Sample, image_masks, index_classes, is_image
from pipeline.errors import ConfigError, warn

TARGET = "mask"
MOST_CLASSES = image_masks.MOST_CLASSES
SUFFIX = ".pgm"  # of the masks that are made


class ClassMasks:
    """An archive in which the masks of the classes of each image are one: `masks/<name>.pgm`.

    Args:
        archive: with the files as they are stored.
    """

    def __init__(self, archive: Archive, facts: Facts) -> None:
        self.root = archive.root
        self.skipped = archive.skipped
        self.overlapping: set[str] = set()
        self._archive = archive
        self._facts = facts
        self._files: dict[str, dict[int, str]] = {}  # mask -> class index -> file
        self._rest: int | None = None  # value of pixels that no file marks

    def names(self) -> list[str]:
        """Return the names of all files, those of classes replaced by the masks that they make.

        Raises:
            ConfigError: a file lies in no folder of a class, an image has two of a class, or several classes have no
                folder.
        """
        files, others = dict[str, dict[int, str]](), list[str]()
        classes = index_classes(self._facts)
        for name in self._archive.names():
            place = _split_name(name, self._facts)
            if place is None:
                others.append(name)
                continue
            mask, label = place
            if label not in classes:
                what = f"class folder in {self.root}:"
                raise ConfigError.unknown("data.classes", label, self._facts.classes, what=what)
            first = files.setdefault(mask, {}).setdefault(classes[label], name)
            if first != name:
                raise ConfigError(
                    "data.root",
                    f"{self.root} has two masks of an image and class",
                    got=[first, name],
                    hint="rename or remove one",
                )
        self._rest = self._find_rest({index for each in files.values() for index in each})
        self._files = files
        return sorted([*others, *files])

    def _find_rest(self, present: set[int]) -> int | None:
        """Return the value of pixels that no file marks; None if they are refused."""
        absent = [index for index in range(len(self._facts.classes)) if index not in present]
        if len(absent) > 1:
            raise ConfigError(
                "data.classes",
                f"{self.root} has no folder of several classes, and what no file marks can be only one of them",
                got=[self._facts.classes[index] for index in absent],
                hint="add masks/<class>/ with a mask, black if it is empty, or remove the class",
            )
        return absent[0] if absent else self._facts.ignore_label

    def read(self, name: str) -> bytes:
        """Return the bytes of a file, or of a mask of class indices as a PGM image.

        Raises:
            ConfigError: it cannot be read, or a file of a class is not a mask of one.
        """
        if name not in self._files:
            return self._archive.read(name)
        marked, sides = dict[int, Pixels](), set[tuple[int, ...]]()
        for index, file in sorted(self._files[name].items()):
            marked[index] = self._read_class(file)
            sides.add(marked[index].shape)
        if len(sides) > 1:
            raise ConfigError(
                ", ".join(self._files[name].values()),
                "have different sides",
                got=sorted(sides),
                hint="save all masks of an image in its shape",
            )
        num_marks = np.sum(list(marked.values()), axis=0)
        if self._rest is None and not np.all(num_marks):
            raise ConfigError(
                ", ".join(self._files[name].values()),
                "leave pixels that are of no class",
                hint="add a class for them to data.classes, without a folder, or set data.ignore_label=255",
            )
        if np.any(num_marks > 1):
            self.overlapping.add(name)
        made = np.full(sides.pop(), self._rest or 0, np.uint8)
        for index, pixels in marked.items():
            made[pixels] = index
        return b"P5 %d %d 255\n" % made.shape[::-1] + made.tobytes()

    def _read_class(self, file: str) -> Pixels:
        """Return which pixels a file of a class marks."""
        data = self._archive.read(file)
        mask = open_image(data, file, self._facts.max_pixels)
        refuse_lossy(mask, data, file)
        values = read_values(mask, file)
        if values is None or len(count_values(values).keys() - {0}) > 1:
            raise ConfigError(
                file,
                "must have 0 and one other value, as a mask of one class",
                hint="save it in black and white; for masks of several classes use data.format=image_masks",
            )
        marked: Pixels = values != 0
        return marked


@contextmanager
def opened(facts: Facts) -> Iterator[Archive]:
    """Open a folder or zip with masks per class; warn at the end about images whose classes overlap."""
    with open_archive(Path(facts.root), max_bytes=facts.max_file_bytes) as archive:
        masks = ClassMasks(archive, facts)
        yield masks
    if masks.overlapping:
        warn(
            f"data.root: masks of {facts.root} in which classes overlap: {len(masks.overlapping):,}, such as "
            f"{min(masks.overlapping)}; such pixels are of the class that data.classes names last"
        )


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of all splits with their masks, as those of `image_masks`."""
    return image_masks.samples(archive, facts, masks="masks/<class>")


def find_classes(names: Sequence[str]) -> Mapping[str, int] | None:
    """Return the classes of a list of names and how many files each has; None if it is not of this format."""
    images, masks = set(), list[tuple[str, str]]()
    for name in filter(is_image, names):
        parts = PurePosixPath(name).with_suffix("").parts
        depth = int(parts[0] in SPLITS)
        if len(parts) > depth + 2 and parts[depth] == "masks":
            masks.append((parts[depth + 1], "/".join((*parts[:depth], *parts[depth + 2 :]))))
        elif len(parts) > depth + 1 and parts[depth] == "images":
            images.add("/".join((*parts[:depth], *parts[depth + 1 :])))
        else:
            return None
    if not masks or not all(key in images for _, key in masks):
        return None
    counts: dict[str, int] = {}
    for label, _ in masks:
        counts[label] = counts.get(label, 0) + 1
    return counts


def _split_name(name: str, facts: Facts) -> tuple[str, str] | None:
    """Return the mask and the class of a file of a class; None for other files."""
    parts = name.split("/")
    depth = int(facts.split == "folders")
    if not is_image(name) or len(parts) < depth + 3 or parts[depth] != "masks":
        return None
    rest = PurePosixPath(*parts[: depth + 1], *parts[depth + 2 :])
    return str(rest.with_suffix(SUFFIX)), parts[depth + 1]
