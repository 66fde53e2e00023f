"""The archive `clocks`: drawn clocks, with the places of their hands, which are exact.

Sines and cosines are rounded to 6 digits, as machines differ in the last bits; all else is + - * / and square roots of
single numbers, which every machine rounds alike. Random numbers come from `RandomState`, whose streams numpy has frozen
(NEP 19).

Shapes: R = C = `SIDE` rows and columns of a picture; points are x, y in pixels from its top left corner, so that the
middle of the first pixel is (0.5, 0.5).
"""

from math import pi

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from pipeline.data.bundled.encoding import encode_jpeg, write_table

Array = NDArray[np.float64]
Point = tuple[float, float]

SIDE = 64
NUM_CLOCKS = {"train": 1200, "val": 200, "test": 400}
QUALITY = 60  # of JPEG
SEED = 1440
POINTS = ("centre", "hour", "minute")
COLUMNS = ("file", *(f"{name}_{axis}" for name in POINTS for axis in "xy"), "split")
NOISE = 10  # most, of 255

README = """\
Clock hands

Origin   Drawn by Convoy (pipeline/data/bundled/clocks.py), so that every point is exact.
Licence  CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/)
Files    images/<split>_<number>.jpg, 64x64, 8-bit grey; labels.csv.
Table    file; x and y of the axis of the hands (centre) and of the tips of both hands (hour, minute), in pixels from
         the top left corner of the picture, so that the middle of the first pixel is (0.5, 0.5); split.
         The hour hand is the shorter and wider one, and points as the minutes demand. One clock in three has a second
         hand, thin and without a point in the table.
Drawn    Time, centre, radius, a turn of up to 10 degrees, lengths and widths of hands, 0, 4 or 12 ticks, grey levels, a
         gradient of light, and noise, each picture from its own seed.
"""


def list_clocks() -> dict[str, bytes]:
    """Return the members of clocks.zip by name."""
    members, rows = {"README.txt": README.encode()}, []
    for part, (split, count) in enumerate(NUM_CLOCKS.items()):
        for number in range(count):
            picture, points = draw_clock(RandomState([SEED, part, number]))
            file = f"images/{split}_{number:04}.jpg"
            members[file] = encode_jpeg(np.rint(picture).astype(np.uint8), quality=QUALITY)
            rows.append((file, *(f"{value:.2f}" for point in points for value in point), split))
    members["labels.csv"] = write_table(COLUMNS, rows)
    return members


def draw_clock(random: RandomState) -> tuple[Array, list[Point]]:
    """Return a picture (R, C) from 0 to 255, and its points in the order of `POINTS`."""
    radius = random.uniform(0.28, 0.46) * SIDE
    centre = (random.uniform(radius + 1, SIDE - radius - 1), random.uniform(radius + 1, SIDE - radius - 1))
    minutes, turn = random.randint(720), random.uniform(-10, 10)
    ground, face = random.uniform(0, 255), random.uniform(0, 255)
    ink = face + random.uniform(90, 150) * (1 if face < 128 else -1)
    picture = np.full((SIDE, SIDE), ground)
    fill(picture, distance_to_segment(centre, centre) - radius, ink)
    fill(picture, distance_to_segment(centre, centre) - radius + random.uniform(0.5, 2.5), face)
    num_ticks, inner = (0, 4, 12)[random.randint(3)], random.uniform(0.8, 0.9)
    for tick in range(num_ticks):
        angle = turn + 360 * tick / num_ticks
        ends = (move(centre, angle, share * radius) for share in (inner, 0.96))
        fill(picture, distance_to_segment(*ends) - 0.5, ink)
    hands = (
        (turn + minutes / 2, random.uniform(0.4, 0.55), random.uniform(3, 4.5)),
        (turn + minutes * 6, random.uniform(0.7, 0.9), random.uniform(1.5, 2.5)),
    )
    tips = []
    for angle, length, width in hands:
        tips.append(move(centre, angle, length * radius))
        end, back = length * radius - width / 2, random.uniform(0, 0.15) * radius
        stroke = distance_to_segment(move(centre, angle, -back), move(centre, angle, end))
        fill(picture, stroke - width / 2, ink)
    if random.randint(3) == 0:
        angle, level = random.randint(60) * 6, (face + ink) / 2
        fill(picture, distance_to_segment(centre, move(centre, angle, 0.9 * radius)) - 0.4, level)
    light = np.linspace(-1, 1, SIDE)[:, None] * random.uniform(-30, 30) + np.linspace(
        -1, 1, SIDE
    ) * random.uniform(-30, 30)
    amount = random.uniform(0, NOISE)
    return np.clip(picture + light + random.uniform(-amount, amount, picture.shape), 0, 255), [centre, *tips]


def move(start: Point, angle: float, distance: float) -> Point:
    """Return the point at a distance from another.

    Args:
        angle: in degrees, clockwise from the top.
    """
    across, down = np.round(np.sin(angle * pi / 180), 6), -np.round(np.cos(angle * pi / 180), 6)
    return float(start[0] + distance * across), float(start[1] + distance * down)


def distance_to_segment(start: Point, end: Point) -> Array:
    """Return the distance of the middle of each pixel to the segment between two points, (R, C)."""
    down, across = np.meshgrid(*(np.arange(SIDE) + 0.5,) * 2, indexing="ij")
    along = (end[0] - start[0], end[1] - start[1])
    length = along[0] * along[0] + along[1] * along[1]
    share = (across - start[0]) * along[0] + (down - start[1]) * along[1]
    share = np.clip(share / length, 0, 1) if length else np.zeros_like(share)
    gaps = across - start[0] - share * along[0], down - start[1] - share * along[1]
    distance: Array = np.sqrt(gaps[0] * gaps[0] + gaps[1] * gaps[1])
    return distance


def fill(picture: Array, distance: Array, level: float) -> None:
    """Paint what lies within a shape.

    Args:
        distance: of each pixel to the edge of the shape, negative inside.
        level: grey level of the paint.
    """
    picture += np.clip(0.5 - distance, 0, 1) * (level - picture)
