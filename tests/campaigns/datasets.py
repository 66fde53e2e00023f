"""Bad data sets: each kind says what it does to a good one, on which sources and containers, and what must come of it.

A good one has images `000.png` to `002.png` of 8 x 8 grey pixels in each split, of classes cat and dog or with masks.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaigns.images import COLOUR, GREY, files
from tests.campaigns.zips import ZIPS
from tests.makers import deep_png, encode, huge_png, write_class_folders, write_files, write_image_masks

SOURCES = ("class_folders", "image_masks")
CONTAINERS = ("data", "data.zip")
Files = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """A data set to write.

    Args:
        kind: what is wrong with it.
        taken: whether it can be used all the same.
        change: changes the files before they are written.
        damage: changes the folder or zip after it was written.
        facts: of the declaration, where they differ.
    """

    kind: str
    source: str
    container: str
    taken: bool
    change: Callable[[Files], object] = lambda _: None
    damage: Callable[[Path], object] = lambda _: None
    facts: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.kind}, {self.source}, {self.container}"

    def write(self, root: Path) -> Files:
        """Write the data set; return its files before it was damaged."""
        good = root / "good"
        (write_class_folders if self.source == "class_folders" else write_image_masks)(good)
        content = {path.relative_to(good).as_posix(): path.read_bytes() for path in good.rglob("*.png")}
        self.change(content)
        write_files(root / self.container, content)
        (root / self.container).exists() or (root / self.container).mkdir()
        self.damage(root / self.container)
        return content


def first(source: str) -> str:
    return "train/cat/000.png" if source == "class_folders" else "train/images/000.png"


def put(name: str, data: bytes | Callable[[], bytes]) -> Callable[[Files], object]:
    return lambda content: content.update({name: data() if callable(data) else data})


def drop(part: str) -> Callable[[Files], object]:
    def change(content: Files) -> None:
        for name in [name for name in content if part in name]:
            del content[name]

    return change


def move(before: str, after: str) -> Callable[[Files], object]:
    def change(content: Files) -> None:
        for name in [name for name in content if before in name]:
            content[name.replace(before, after)] = content.pop(name)

    return change


def repeat(content: Files) -> None:
    """Put the training images into the validation split."""
    for name in [name for name in content if name.startswith("train/")]:
        content[name.replace("train/", "val/", 1)] = content[name]


def of_images() -> Iterator[Case]:
    """Yield sets in which one image is a file of each kind."""
    for kind, file in files().items():
        for source in SOURCES:
            taken = file.taken and (file.sides or source == "class_folders")
            for container in CONTAINERS:
                yield Case(f"image: {kind}", source, container, taken, put(first(source), file.data))


# What is done to the files of a set, whether it can be used then, and on which source.
SETS: list[tuple[str, Callable[[Files], object], bool, tuple[str, ...]]] = [
    ("no files", drop(""), False, SOURCES),
    ("no images", lambda content: (content.clear(), content.update({"README.txt": b"soon"})), False, SOURCES),
    ("no validation split", drop("val/"), False, SOURCES),
    ("unknown split", move("val/", "valid/"), False, SOURCES),
    ("image at the top", put("a.png", encode(GREY)), False, SOURCES),
    ("image in a split", put("train/a.png", encode(GREY)), False, SOURCES),
    ("one image of each", lambda c: [drop(f"{n:03}")(c) for n in (1, 2)], True, SOURCES),
    ("one image in all", lambda c: [drop(each)(c) for each in ("val", "test", "001", "002", "dog")], False, SOURCES),
    ("same images in two splits", repeat, False, SOURCES),
    ("hidden files", put("train/.a.png", b"no image"), True, SOURCES),
    ("files of a Mac", put("__MACOSX/train/cat/000.png", b"no image"), True, SOURCES),
    ("thumbnails of Windows", put("train/Thumbs.db", b"no image"), True, SOURCES),
    ("other files", put("train/notes.txt", b"\xff\x00"), True, SOURCES),
    ("suffix in capitals", move("000.png", "000.PNG"), True, SOURCES),
    ("names in Korean", move("000.png", "\uc22b\uc790.png"), True, SOURCES),
    ("names like formulas", move("000.png", "=1+1.png"), True, SOURCES),
    ("long names", move("000.png", f"{'a' * 240}.png"), True, SOURCES),
    ("name with a line break", move("train/", "train/a\nb/"), False, SOURCES),
    ("name with an escape", move("000.png", "\x1b[2J.png"), False, SOURCES),
    ("spaces and quotes in names", move("000.png", "a 'b' \"c\", d.png"), True, SOURCES),
    ("class without images", drop("train/dog"), False, ("class_folders",)),
    ("unknown class", move("dog", "bird"), False, ("class_folders",)),
    ("class in capitals", move("dog", "Dog"), False, ("class_folders",)),
    ("third class", put("train/bird/000.png", encode(GREY)), False, ("class_folders",)),
    ("folders in folders", move("dog/", "dog/" + "a/" * 100), True, ("class_folders",)),
    ("mask missing", drop("train/masks/000"), False, ("image_masks",)),
    ("image missing", drop("train/images/000"), False, ("image_masks",)),
    ("two images of a stem", put("train/images/000.jpg", encode(GREY, "JPEG")), False, ("image_masks",)),
    ("mask of another class", put("train/masks/000.png", encode(np.full((8, 8), 7, np.uint8))), False,
     ("image_masks",)),
    ("mask in white", put("train/masks/000.png", encode(np.full((8, 8), 255, np.uint8))), False, ("image_masks",)),
    ("mask in colour", put("train/masks/000.png", encode(COLOUR)), False, ("image_masks",)),
    ("mask of 16 bits", put("train/masks/000.png", encode(np.zeros((8, 8), np.uint16))), True, ("image_masks",)),
    ("mask of fractions", put("train/masks/000.png", encode(np.full((8, 8), 0.5, np.float32), "TIFF")), False,
     ("image_masks",)),
    ("mask of 16 bits in colour", put("train/masks/000.png", deep_png(2, 3)), False, ("image_masks",)),
    ("mask of other sides", put("train/masks/000.png", encode(np.zeros((8, 9), np.uint8))), False, ("image_masks",)),
    ("mask turned", put("train/masks/000.png", encode(np.zeros((9, 8), np.uint8))), False, ("image_masks",)),
    ("mask that is empty", put("train/masks/000.png", b""), False, ("image_masks",)),
    ("mask that is huge", put("train/masks/000.png", huge_png(40_000, 10_000)), False, ("image_masks",)),
    ("mask as a bitmap", put("train/masks/000.png", encode(np.zeros((8, 8), np.uint8), "BMP")), True, ("image_masks",)),
    ("mask of one class", put("train/masks/000.png", encode(np.zeros((8, 8), np.uint8))), True, ("image_masks",)),
]  # fmt: skip


def of_sets() -> Iterator[Case]:
    """Yield sets whose files are changed, in both containers."""
    for kind, change, taken, sources in SETS:
        for source in sources:
            for container in CONTAINERS:
                yield Case(kind, source, container, taken, change)


def bind(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(300 * 2**20)


def replaced(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what replaces the first image of a folder."""

    def damage(root: Path) -> None:
        path = min(root.glob("train/*/000.png"))
        path.rename(root.parent / "moved.png")
        make(path)

    return damage


FOLDERS: list[tuple[str, Callable[[Path], object], bool]] = [
    ("pipe", replaced(os.mkfifo), False),
    ("socket", replaced(bind), False),
    ("device", replaced(lambda path: path.symlink_to("/dev/zero")), False),
    ("endless device", replaced(lambda path: path.symlink_to("/dev/random")), False),
    ("broken link", replaced(lambda path: path.symlink_to("nowhere")), False),
    ("loop of links", replaced(lambda path: path.symlink_to(path.name)), False),
    ("link to a file", replaced(lambda path: path.symlink_to(path.parents[3] / "moved.png")), True),
    ("link to a folder outside", lambda root: (root / "train" / "out").symlink_to("/etc"), False),
    ("link to the folder above", lambda root: (root / "train" / "up").symlink_to(".."), False),
    ("folder like an image", replaced(Path.mkdir), True),
    ("large file", replaced(sparse), False),
    ("invalid name", lambda root: (root / "train" / "a\udcff.png").touch(), False),
    ("many files", lambda root: [(root / f"{n}.txt").touch() for n in range(5000)], True),
]  # fmt: skip


def of_folders() -> Iterator[Case]:
    """Yield folders that hold more than files."""
    for kind, damage, taken in FOLDERS:
        for source in SOURCES:
            may = taken and (kind, source) != (
                "folder like an image",
                "image_masks",
            )  # a mask is without an image
            yield Case(kind, source, "data", may, damage=damage)


def of_zips() -> Iterator[Case]:
    """Yield damaged and hostile zip files."""
    for kind, damage, taken in ZIPS:
        for source in SOURCES:
            yield Case(kind, source, "data.zip", taken, damage=damage)


FACTS: list[tuple[str, dict[str, Any], bool]] = [
    ("small bound on pixels", {"max_pixels": 63, "shape": [1, 4, 4]}, False),
    ("small bound on bytes", {"max_file_bytes": 60}, False),
    ("more classes than there are", {"classes": ["cat", "dog", "bird"]}, False),
    ("other shape", {"shape": [3, 5, 7]}, True),
    ("other digest", {"digest": "sha256:0"}, False),
]


def of_facts() -> Iterator[Case]:
    """Yield good sets whose declaration does not fit them; a class without pixels is no mistake."""
    for kind, facts, taken in FACTS:
        for source in SOURCES:
            may = taken or (source == "image_masks" and "classes" in facts)
            yield from (Case(kind, source, container, may, facts=facts) for container in CONTAINERS)


def cases() -> list[Case]:
    return [case for make in (of_images, of_sets, of_folders, of_zips, of_facts) for case in make()]
