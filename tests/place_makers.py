"""Small archives of images with boxes or points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.makers import SPLITS, Pixels, encode, prefixes, write_files


def write_boxes(
    path: Path,
    *,
    classes: Sequence[str] = ("cat", "dog"),
    splits: Sequence[str] = SPLITS,
    num_images: int = 6,
    sides: tuple[int, int] = (8, 8),
    most: int = 2,
) -> dict[str, Pixels]:
    """Write a folder or zip of format `csv_boxes`: noise, and `boxes.csv`.

    Images in turn have one box of each class in turn, two boxes (or as many as there are at most), and none.

    Returns:
        Name in the archive -> pixels (H, W).
    """
    random = np.random.default_rng(0)
    images, rows = {}, ["file,x_min,y_min,x_max,y_max,label"]
    for prefix in prefixes(splits):
        for index in range(num_images):
            name = f"{prefix}{index:03}.png"
            images[name] = random.integers(0, 256, sides, dtype=np.uint8)
            label = classes[index % len(classes)]
            boxes = [f"1,2,5,7,{label}", f"0.5,0,{sides[1]},4,{classes[0]}"]
            number = (1, 1, 2, 0)[index % 4]
            rows += [f"{name},{box}" for box in boxes[: min(number, most)]] or [f"{name},,,,,"]
    table = {"boxes.csv": "\n".join(rows).encode()}
    write_files(path, {name: encode(pixels) for name, pixels in images.items()} | table)
    return images


def write_points(
    path: Path,
    *,
    points: Sequence[str] = ("left", "right"),
    splits: Sequence[str] = SPLITS,
    num_images: int = 6,
) -> dict[str, Pixels]:
    """Write a folder or zip of format `csv_points`: noise of 8 x 8, and `points.csv`.

    Images in turn have all points, all but the last, and none.

    Returns:
        Name in the archive -> pixels (H, W).
    """
    random = np.random.default_rng(0)
    images, rows = {}, [",".join(["file", *(f"{point}_{axis}" for point in points for axis in "xy")])]
    for prefix in prefixes(splits):
        for index in range(num_images):
            name = f"{prefix}{index:03}.png"
            images[name] = random.integers(0, 256, (8, 8), dtype=np.uint8)
            cells = [f"{1 + place % 6},{2 + index % 5}.5" for place in range(len(points))]
            if index % 3:
                cells[-1] = ","
            rows.append(",".join([name, *(cells if index % 3 < 2 else [","] * len(points))]))
    table = {"points.csv": "\n".join(rows).encode()}
    write_files(path, {name: encode(pixels) for name, pixels in images.items()} | table)
    return images
