"""Figures of distances: they open, fit a page, and are the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures.distances import draw_distances, draw_map, draw_recognition, draw_roc

LINE = np.linspace(0, 1, 30)
ROUND = np.stack((np.cos(6 * LINE), np.sin(6 * LINE)), axis=1)

DRAWINGS: dict[str, Callable[[Path], None]] = {
    "roc": lambda path: draw_roc(LINE, LINE**0.1, path, equal_error=0.07, at_threshold=(0.1, 0.8)),
    "roc of equal distances": lambda path: draw_roc(
        np.array([0.0, 1]), np.array([0.0, 1]), path, equal_error=0.5, at_threshold=(0.0, 0.0)
    ),
    "distances": lambda path: draw_distances(LINE[:9], LINE[9:], path, threshold=0.3),
    "distances of nothing": lambda path: draw_distances(np.zeros(2), np.zeros(3), path, threshold=0.0),
    "recognition": lambda path: draw_recognition([2, 3, 4], [0.99, 0.97, 0.96], path),
    "map": lambda path: draw_map(ROUND, [f"$x_{index % 5}" for index in range(30)], path),
    "map of many": lambda path: draw_map(ROUND.repeat(3, axis=0), [str(index) for index in range(90)], path),
    "map of one": lambda path: draw_map(np.zeros((1, 2)), ["ann"], path),
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_figure_opens_fits_a_page_and_is_the_same_for_the_same_numbers(name: str, tmp_path: Path) -> None:
    for file in ("one.png", "other.png"):
        DRAWINGS[name](tmp_path / file)
    with Image.open(tmp_path / "one.png") as image:
        assert 200 < image.width < 900
        assert 200 < image.height < 900
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
