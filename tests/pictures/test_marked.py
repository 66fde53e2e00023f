"""Marks on single images."""

from __future__ import annotations

import numpy as np

from pipeline.pictures.marked import LINE, NARROWEST, STRIP, caption, paint
from pipeline.pictures.sheets import overlay


def test_painting_in_strips_is_painting_at_once() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (STRIP + 7, 5, 1), dtype=np.uint8)
    mask = random.integers(0, 3, image.shape[:2], dtype=np.uint8)
    assert np.array_equal(paint(image, mask), overlay(image, mask))


def test_caption_is_above_an_image_that_is_enlarged_by_a_whole_factor() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 50, 3), dtype=np.uint8)
    made = caption(image, "dog 75%")
    assert made.shape == (LINE + 24, 200, 3)
    assert np.array_equal(made[LINE::4, ::4], image)
    assert made[:LINE].min() < 128, "there is text"
    wide = np.zeros((6, NARROWEST, 1), np.uint8)
    assert caption(wide, "").shape == (LINE + 6, NARROWEST, 3)
