"""Sheets: each image fills a cell, whatever its sides, and nothing is blurred."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from pipeline.pictures.sheets import CAPTION_WIDTH, CELL, COLOURS, GAP, LINE, _wrapped, draw_sheet

RANDOM = np.random.default_rng(0)
SCALE = 11  # 13 pixels fill a cell


def noise(rows: int, columns: int, channels: int = 3) -> np.ndarray:
    return RANDOM.integers(0, 200, (rows, columns, channels), dtype=np.uint8)


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def enlarged(image: np.ndarray) -> np.ndarray:
    colours = np.broadcast_to(image, (*image.shape[:2], 3))
    return colours.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("count", "columns", "grid"), [(1, 8, (1, 1)), (3, 8, (1, 3)), (8, 3, (3, 3)), (9, 8, (2, 8))]
)
def test_each_pixel_of_an_image_is_a_square_of_its_cell(
    count: int, columns: int, grid: tuple[int, int], channels: int, tmp_path: Path
) -> None:
    images = [noise(13, 13, channels) for _ in range(count)]
    draw_sheet(images, tmp_path / "sheet.png", columns=columns)
    sheet = pixels_of(tmp_path / "sheet.png")
    assert sheet.shape == (grid[0] * (CELL + GAP) + GAP, grid[1] * (CELL + GAP) + GAP, 3)
    left_over = np.ones(sheet.shape[:2], bool)
    for index, image in enumerate(images):
        top, left = (GAP + place * (CELL + GAP) for place in divmod(index, grid[1]))
        np.testing.assert_array_equal(sheet[top : top + CELL, left : left + CELL], enlarged(image))
        left_over[top : top + CELL, left : left + CELL] = False
    assert (sheet[left_over] == 255).all()


def test_images_of_different_sides_share_a_row(tmp_path: Path) -> None:
    flat, high, grey = noise(5, 13), noise(20, 13), noise(13, 13, 1)
    draw_sheet([flat, high, grey], tmp_path / "sheet.png")
    sheet = pixels_of(tmp_path / "sheet.png")
    assert sheet.shape == (20 * SCALE + 2 * GAP, 3 * (CELL + GAP) + GAP, 3)
    for index, image in enumerate([flat, high, grey]):
        left, end = GAP + index * (CELL + GAP), GAP + SCALE * len(image)
        np.testing.assert_array_equal(sheet[GAP:end, left : left + CELL], enlarged(image))
        assert (sheet[end:, left : left + CELL] == 255).all()


def test_image_larger_than_its_cell_is_thinned_out(tmp_path: Path) -> None:
    image = noise(2 * CELL, 2 * CELL)
    draw_sheet([image], tmp_path / "sheet.png")
    shown = pixels_of(tmp_path / "sheet.png")[GAP : GAP + CELL, GAP : GAP + CELL]
    np.testing.assert_array_equal(shown, image[::2, ::2])


def test_captions_stand_above_their_images_and_do_not_touch_them(tmp_path: Path) -> None:
    images = [noise(13, 13) for _ in range(4)]
    draw_sheet(images, tmp_path / "sheet.png", captions=["", "a name of more than one line"] * 2, columns=2)
    sheet = pixels_of(tmp_path / "sheet.png")
    pitch = 2 * LINE + CELL + GAP
    assert sheet.shape[0] == 2 * pitch + GAP
    for index, image in enumerate(images):
        top, left = GAP + 2 * LINE + index // 2 * pitch, GAP + index % 2 * (CELL + GAP)
        np.testing.assert_array_equal(sheet[top : top + CELL, left : left + CELL], enlarged(image))
        band = sheet[top - 2 * LINE : top, left : left + CELL]
        assert (band < 128).any() == (index % 2 == 1)


CAPTIONS = [
    ("cat as dog 97%", ["cat as dog 97%"]),
    ("formation_0001_left.png", ["formation_0001_left.pn", "g"]),
    ("猫" * 12, ["猫" * 11, "猫"]),
    ("", [""]),
]


@pytest.mark.parametrize(("caption", "lines"), CAPTIONS)
def test_caption_is_not_wider_than_its_image(caption: str, lines: list[str]) -> None:
    assert CAPTION_WIDTH == 22
    assert _wrapped(caption).split("\n") == lines


# Machado et al. 2009, of severity 1: linear RGB as the colour-blind see it.
SEEN = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEN)
def test_colours_of_classes_differ_to_the_colour_blind(kind: str) -> None:
    linear = np.array([[((each + 0.055) / 1.055) ** 2.4 for each in to_rgb(colour)] for colour in COLOURS])
    seen = (linear @ np.array(SEEN[kind]).T).clip(0, 1) ** (1 / 2.4)
    distances = [np.linalg.norm(one - other) for one, other in combinations(seen, 2)]
    assert min(distances) > 0.12  # 0.07 of matplotlib's Set1
