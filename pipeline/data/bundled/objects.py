"""The archive `objects`: birds, mammals, fruit and flowers on photographs, with their boxes.

The objects are stamps of Tux Paint, cut-outs with an alpha channel, in Debian's package tuxpaint-stamps-default; behind
them are photographs of GCompris, in gcompris-qt-data. Colours are blended in whole numbers, and random numbers come
from `RandomState`, whose streams numpy has frozen (NEP 19).

Shapes: R rows, C columns; boxes are (x_min, y_min, x_max, y_max), half-open.
"""

import io
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.bundled.debian import read_package
from pipeline.data.bundled.encoding import Picture, encode_jpeg, write_table
from pipeline.data.bundled.photos import COPYRIGHT, PACKAGE, RCC, list_photographs
from pipeline.data.bundled.scenes import COLUMNS, TRIES, Box, overlap

T = TypeVar("T")

STAMPS, LICENCE = "usr/share/tuxpaint/stamps", "usr/share/doc/tuxpaint-stamps-default/copyright"
FOLDERS = {
    "bird": ("animals/birds",),
    "mammal": ("animals/mammals",),
    "fruit": ("food/fruit", "food/vegetables"),
    "flower": ("plants/flowers",),
}
DRAWN = "/cartoon/"  # in the path of stamps that are no photographs
SPLITS = (
    "train",
    "train",
    "train",
    "val",
    "train",
    "train",
    "test",
    "train",
    "train",
    "test",
)  # of ten in turn
NUM_SCENES = {"train": 1200, "val": 200, "test": 400}
SIDE = 160
MOST = 4  # objects of a scene
SIDES = (28, 112)  # pixels of an object's longer side
OPAQUE = 128  # least alpha of a pixel that belongs to an object
QUALITY = 70  # of JPEG
SEED = 2002

README = """\
Birds, mammals, fruit and flowers on photographs, with their boxes

Objects  Stamps of Tux Paint that are cut-outs of photographs, as Debian's package tuxpaint-stamps-default has them:
         {stamps}.
         Copyright 2002-2022 Bill Kendrick and the contributors, GPL-2, see COPYRIGHT-stamps.txt. Changed here: made
         smaller, some mirrored, blended with a photograph.
Behind   Photographs of fishes, monuments, renewable energies and tools of GCompris, as Debian's package
         gcompris-qt-data has them, authors and licences by file in COPYRIGHT.txt. Changed here: cut, some mirrored.
         Share the archive with both files, and under these licences alone.
Files    images/<split>_<number>.jpg, {side}x{side}, 8-bit colour; labels.csv. {counts}.
Table    A row for each object: file; x_min, y_min, x_max, y_max of the pixels that it covers by half or more, in
         pixels, the maxima excluded; class; split. A scene without an object has one row with empty cells.
Scenes   1 to {most} objects with a longer side of {sides[0]} to {sides[1]} pixels, none over another, in nine of ten
         scenes, none in the tenth. Classes are drawn equally often.
Split    By stamp and by photograph: train, val and test share neither.
"""


def list_objects() -> dict[str, bytes]:
    """Return the members of the archive by name."""
    stamps, licence = read_stamps()
    behind = read_package(PACKAGE, RCC, COPYRIGHT)
    photographs = [np.asarray(image) for _, image in list_photographs(behind[RCC])]
    members: dict[str, bytes] = {"COPYRIGHT.txt": behind[COPYRIGHT], "COPYRIGHT-stamps.txt": licence}
    rows: list[tuple[object, ...]] = []
    for part, (split, count) in enumerate(NUM_SCENES.items()):
        below = of_split(photographs, split)
        drawn = {name: of_split(images, split) for name, images in stamps.items()}
        for number in range(count):
            random = RandomState([SEED, part, number])
            scene = cut(below[random.randint(len(below))], random)
            boxes = [] if number % 10 == 0 else add_objects(scene, drawn, random)
            file = f"images/{split}_{number:04}.jpg"
            members[file] = encode_jpeg(scene, quality=QUALITY)
            rows += [(file, *box, name, split) for name, box in boxes]
            if not boxes:
                rows.append((file, *("",) * 5, split))
    readme = README.format(
        stamps=", ".join(f"{len(images)} of class {name}" for name, images in stamps.items()),
        side=SIDE,
        counts=", ".join(f"{count} {split}" for split, count in NUM_SCENES.items()),
        most=MOST,
        sides=SIDES,
    )
    return members | {"labels.csv": write_table(COLUMNS, rows), "README.txt": readme.encode()}


def read_stamps() -> tuple[dict[str, list[Image.Image]], bytes]:
    """Return the stamps of each class, cut to what is opaque, in order of their paths; and their licence."""
    paths = [f"{STAMPS}/{folder}" for folders in FOLDERS.values() for folder in folders]
    files = read_package("tuxpaint-stamps-default", *paths, LICENCE)
    stamps = {}
    for name, folders in FOLDERS.items():
        starts = tuple(f"{STAMPS}/{folder}/" for folder in folders)
        chosen = [path for path in sorted(files) if path.startswith(starts) and path.endswith(".png")]
        images = [open_stamp(files[path]) for path in chosen if DRAWN not in path]
        stamps[name] = [image for image in images if image is not None]
    return stamps, files[LICENCE]


def open_stamp(content: bytes) -> Image.Image | None:
    """Return a stamp cut to its opaque pixels, its colours multiplied by alpha; None if all of it is opaque."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        stamp = image.convert("RGBA")
    opaque = np.asarray(stamp)[..., 3] >= OPAQUE
    if opaque.all():
        return None
    return stamp.crop(box_of(opaque)).convert("RGBa")


def of_split(images: Sequence[T], split: str) -> list[T]:
    """Return the images of a split: of each ten, those that `SPLITS` says."""
    return [image for number, image in enumerate(images) if SPLITS[number % len(SPLITS)] == split]


def cut(photograph: Picture, random: RandomState) -> Picture:
    """Return a random square of a photograph (R, C, 3), mirrored half of the times."""
    top, left = (random.randint(length - SIDE + 1) for length in photograph.shape[:2])
    part = photograph[top : top + SIDE, left : left + SIDE]
    return np.array(part[:, ::-1] if random.randint(2) else part)


def add_objects(
    scene: Picture, stamps: dict[str, list[Image.Image]], random: RandomState
) -> list[tuple[str, Box]]:
    """Put objects into a scene, none over another; return their classes and boxes."""
    boxes: list[tuple[str, Box]] = []
    names = list(stamps)
    for _ in range(random.randint(1, MOST + 1)):
        name = names[random.randint(len(names))]
        stamp = stamps[name][random.randint(len(stamps[name]))]
        longer = min(random.randint(SIDES[0], SIDES[1] + 1, 2))  # small ones more often
        sides = [max(1, round(side * longer / max(stamp.size))) for side in stamp.size]
        pixels = np.asarray(stamp.resize((sides[0], sides[1]), Image.Resampling.BOX))
        if random.randint(2):
            pixels = pixels[:, ::-1]
        box = blend(scene, pixels, [taken for _, taken in boxes], random)
        if box is not None:
            boxes.append((name, box))
    return boxes


def blend(scene: Picture, pixels: Picture, taken: Sequence[Box], random: RandomState) -> Box | None:
    """Put a stamp (R, C, 4), multiplied by alpha, where it overlaps no other; return its box.

    None if no place was found, or nothing of it is opaque.
    """
    opaque = pixels[..., 3] >= OPAQUE
    if not opaque.any():
        return None
    x_min, y_min, x_max, y_max = box_of(opaque)
    for _ in range(TRIES):
        top, left = (random.randint(SIDE - length + 1) for length in pixels.shape[:2])
        box = (left + x_min, top + y_min, left + x_max, top + y_max)
        if not any(overlap(box, other) for other in taken):
            break
    else:
        return None
    below = scene[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    seen_through = 255 - pixels[..., 3:].astype(int)
    below[:] = np.minimum(pixels[..., :3] + (below * seen_through + 127) // 255, 255)
    return box


def box_of(opaque: NDArray[np.bool_]) -> Box:
    """Return the box of the pixels (R, C) that are set."""
    rows, columns = (np.flatnonzero(opaque.any(axis=axis)).tolist() for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
