"""The archives `digits_scenes` and `digits_located`: handwritten digits on photographs, with their boxes.

The digits are those of the archive `digits`, the photographs those of scikit-image. Arithmetic is elementwise with
+ - * / only, which every machine rounds alike, and random numbers come from `RandomState`, whose streams numpy has
frozen (NEP 19).

Shapes: R rows, C columns of a picture; boxes are (x_min, y_min, x_max, y_max), half-open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.bundled.digits import find_side, read_digits
from pipeline.data.bundled.encoding import Picture, encode_jpeg, explain_missing, write_table

Box = tuple[int, int, int, int]  # x_min, y_min, x_max, y_max
Array = NDArray[np.float64]

PHOTOGRAPHS = {
    "train": ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "ihc.png"),
    "val": ("coins.png", "rocket.jpg"),
    "test": ("camera.png", "cell.png", "gravel.png"),
}
LARGEST = 48  # side of the square that a digit is written in
FRAGMENTS = (8, 15)  # sides of the squares that quarters are written in
INK = 0.5  # least opacity of a pixel that belongs to a digit
CONTRAST = (90, 150)  # of a digit to the mean of what is below it, of 255
SCENES_README = """\
Handwritten digits on photographs, with their boxes

Digits   Those of the archive digits: scikit-learn's copy of Alpaydin and Kaynak (1998), Optical Recognition of
         Handwritten Digits, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0
         (https://creativecommons.org/licenses/by/4.0/). Changed here: enlarged, and blended with a photograph.
Behind   Photographs that scikit-image ships, without restriction by their authors: astronaut (NASA), brick and grass
         and gravel (CC0Textures), camera (Lav Varshney), cell (dedicated to the public domain), chelsea (Stefan van der
         Walt), coffee (Rachel Michetti), coins (Brooklyn Museum, no known restrictions), ihc (CMMI, no known
         restrictions), rocket (SpaceX). Changed here: grey, cut, of less contrast.
Files    images/<split>_<number>.jpg, {side}x{side}, 8-bit grey; labels.csv. {counts}.
Table    A row for each digit: file; x_min, y_min, x_max, y_max of the pixels where its ink covers at least half, in
         pixels, the maxima excluded; class; split. A scene without a digit has one row with empty cells.
Scenes   {digits} pixels, none over another, in nine of ten scenes; none in the tenth. Up to {fragments}
         quarters of digits, smaller than any digit, are strokes that are no object.
Split    A digit is on the side of its form (writer), see the archive digits: train, val and test share no form. A
         photograph serves one side only: astronaut brick chelsea coffee grass ihc train, coins rocket val, camera cell
         gravel test.
"""
TRIES = 40  # to place a digit where none is
COLUMNS = ("file", "x_min", "y_min", "x_max", "y_max", "class", "split")


@dataclass(frozen=True)
class Collection:
    """What distinguishes an archive of scenes.

    Args:
        side: rows and columns of a scene.
        most: digits of a scene.
        most_fragments: quarters of digits beside them.
        smallest: side of the smallest square that a digit is written in.
        quality: of JPEG.
        num_scenes: split -> number of scenes.
    """

    side: int
    most: int
    most_fragments: int
    smallest: int
    quality: int
    num_scenes: dict[str, int]
    seed: int


COLLECTIONS = {
    "digits_scenes": Collection(128, 6, 4, 16, 25, {"train": 1200, "val": 200, "test": 400}, seed=1998),
    "digits_located": Collection(64, 1, 2, 24, 40, {"train": 1800, "val": 300, "test": 400}, seed=1999),
}


def list_scenes(name: str) -> dict[str, bytes]:
    """Return the members of an archive of `COLLECTIONS` by name."""
    collection = COLLECTIONS[name]
    digits, labels = read_digits(name)
    members: dict[str, bytes] = {"README.txt": write_readme(collection).encode()}
    rows: list[tuple[object, ...]] = []
    for part, (split, count) in enumerate(collection.num_scenes.items()):
        chosen = [index for index in range(len(labels)) if find_side(index) == split]
        photographs = [read_photograph(each, name) for each in PHOTOGRAPHS[split]]
        for number in range(count):
            random = RandomState([collection.seed, part, number])
            num_digits = 0 if number % 10 == 0 else random.randint(1, collection.most + 1)
            indices = random.choice(chosen, num_digits)
            scene = crop_photograph(photographs[random.randint(len(photographs))], collection.side, random)
            boxes = add_digits(scene, digits[indices], random, smallest=collection.smallest)
            fragments = random.choice(chosen, collection.most_fragments)[
                : random.randint(collection.most_fragments + 1)
            ]
            add_fragments(scene, digits[fragments], boxes, random)
            file = f"images/{split}_{number:04}.jpg"
            members[file] = encode_jpeg(np.rint(scene).astype(np.uint8), quality=collection.quality)
            rows += [(file, *box, labels[index], split) for index, box in zip(indices, boxes, strict=False)]
            if not boxes:
                rows.append((file, *("",) * 5, split))
    members["labels.csv"] = write_table(COLUMNS, rows)
    return members


def write_readme(collection: Collection) -> str:
    """Return what an archive says of itself."""
    digits = f"1 to {collection.most} digits" if collection.most > 1 else "1 digit"
    return SCENES_README.format(
        side=collection.side,
        counts=", ".join(f"{count} {split}" for split, count in collection.num_scenes.items()),
        digits=f"{digits} of {collection.smallest} to {LARGEST}",
        fragments={2: "two", 4: "four"}[collection.most_fragments],
    )


def read_photograph(file: str, archive: str) -> Picture:
    """Return a photograph of scikit-image in grey, (R, C)."""
    try:
        path = files("skimage") / "data" / file
    except ModuleNotFoundError as error:
        raise explain_missing(archive, error) from error
    with path.open("rb") as opened, Image.open(opened) as image:
        image.draft("L", image.size)  # of a JPEG, its luminance as it is stored
        return np.asarray(image.convert("L"))


def crop_photograph(photograph: Picture, side: int, random: RandomState) -> Array:
    """Return a random square of a photograph, sometimes mirrored or at half its size, with less contrast."""
    step = random.randint(1, 3) if min(photograph.shape) >= 2 * side else 1
    top, left = (random.randint(length - step * side + 1) for length in photograph.shape)
    part: Array = photograph[top : top + step * side, left : left + step * side].astype(np.float64)
    part = np.sum([part[i::step, j::step] for i in range(step) for j in range(step)], axis=0) / step**2
    if random.randint(2):
        part = part[:, ::-1]
    middle = part.sum() / part.size
    part = middle + random.uniform(0.3, 0.8) * (part - middle)
    return part


def enlarge(glyph: Picture, side: int) -> Array:
    """Return the opacity of a written digit, enlarged to (side, side) with soft edges."""
    grey = np.pad(glyph.astype(np.float64) / 255, 1)
    places = (np.arange(side) + 0.5) * glyph.shape[0] / side + 0.5  # bilinear, in the padded picture
    low = np.floor(places).astype(int)
    share = places - low
    rows = grey[low] * (1 - share)[:, None] + grey[low + 1] * share[:, None]
    enlarged = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    opacity: Array = np.clip((enlarged - 0.25) / 0.4, 0, 1)
    return opacity


def add_digits(scene: Array, glyphs: Picture, random: RandomState, *, smallest: int) -> list[Box]:
    """Write digits into a scene, none over another; return their boxes, of fewer if there is no room."""
    boxes: list[Box] = []
    for glyph in glyphs:
        side = min(random.randint(smallest, LARGEST + 1, 2))  # small ones more often
        box = write(scene, enlarge(glyph, int(side)), boxes, random)
        if box is None:
            break
        boxes.append(box)
    return boxes


def add_fragments(scene: Array, glyphs: Picture, boxes: Sequence[Box], random: RandomState) -> None:
    """Write quarters of digits beside the digits of a scene: strokes that are no digit, smaller than any."""
    taken = list(boxes)
    for glyph in glyphs:
        top, left = random.randint(0, 5, 2)
        opacity = enlarge(
            glyph[top : top + 4, left : left + 4], random.randint(FRAGMENTS[0], FRAGMENTS[1] + 1)
        )
        box = write(scene, opacity, taken, random) if (opacity >= INK).any() else None
        if box is not None:
            taken.append(box)


def write(scene: Array, opacity: Array, taken: Sequence[Box], random: RandomState) -> Box | None:
    """Write a stroke into a scene, brighter or darker than what is below it, where it overlaps no other.

    Args:
        opacity: of the stroke, (R, C), changed by nothing.
        taken: boxes of the others.

    Returns:
        The box of its ink; None if no place was found.
    """
    rows, columns = (np.flatnonzero((opacity >= INK).any(axis=axis)).tolist() for axis in (1, 0))
    for _ in range(TRIES):
        top, left = (random.randint(len(scene) - length + 1) for length in opacity.shape)
        box = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
        if not any(overlap(box, other) for other in taken):
            break
    else:
        return None
    below = scene[top : top + opacity.shape[0], left : left + opacity.shape[1]]
    mean = np.rint(below).sum() / below.size  # of whole numbers, whose sum is exact in any order
    difference = random.uniform(*CONTRAST)
    ink = min(mean + difference, 255) if mean < 128 else max(mean - difference, 0)
    below += opacity * (ink - below)
    return box


def overlap(one: Box, other: Box) -> bool:
    """Return whether two boxes have a pixel in common."""
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(one[3], other[3])
