"""Masks: the exact values of every accepted file, the name and a reason for every refused one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.data.images import decode_mask, read_sides
from tests.data.orientations import TURNS, oriented
from tests.makers import Pixels, encode
from tests.refusals import refused

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
CLASSES = RANDOM.integers(0, 3, (5, 7), dtype=np.uint8)
BLACK_WHITE = (GREY > 127) * np.uint8(255)
GREY_AS_COLOUR = np.repeat(GREY[..., None], 3, axis=-1)
WIDE = GREY.astype(np.uint16) * 257  # 0..255 widened to 0..65535


def mask_of(data: bytes, **changes: Any) -> Pixels:
    facts: dict[str, Any] = {"image_sides": (5, 7), "sides": (5, 7), "num_classes": 3, "ignore_label": None}
    return decode_mask(data, name="train/masks/a.png", **facts | changes)


def indexed(values: Pixels) -> Image.Image:
    """Return a palette image whose colours tell nothing of its indices."""
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    image.putpalette([255, 0, 0, 0, 0, 255, 9, 9, 9] + [0] * 759)
    return image


@pytest.mark.parametrize(
    ("data", "values"),
    [
        pytest.param(encode(CLASSES), CLASSES, id="grey"),
        pytest.param(encode(indexed(CLASSES)), CLASSES, id="palette"),
        pytest.param(encode(Image.fromarray(BLACK_WHITE).convert("1")), BLACK_WHITE // 255, id="one bit"),
        pytest.param(encode(CLASSES, "TIFF"), CLASSES, id="TIFF"),
    ],
)
def test_mask_has_the_exact_values_of_its_file(data: bytes, values: Pixels) -> None:
    decoded = mask_of(data)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, values)


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 20), columns=st.integers(1, 20))
def test_resized_mask_has_no_value_that_it_did_not_have(rows: int, columns: int) -> None:
    far_apart = CLASSES * np.uint8(100)
    decoded = mask_of(encode(far_apart), sides=(rows, columns), num_classes=201)
    assert decoded.shape == (rows, columns)
    assert set(np.unique(decoded)) <= set(np.unique(far_apart))


def test_mask_doubled_in_size_repeats_each_value() -> None:
    doubled = CLASSES.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(mask_of(encode(CLASSES), sides=(10, 14)), doubled)


@pytest.mark.parametrize("turn", TURNS)
def test_mask_is_compared_with_the_image_as_it_is_seen(turn: int) -> None:
    photograph = oriented(COLOUR, turn)
    seen = TURNS[turn](COLOUR).shape[:2]
    assert read_sides(photograph) == seen
    mask = np.zeros(seen, np.uint8)
    assert mask_of(encode(mask), image_sides=read_sides(photograph), sides=(7, 5)).shape == (7, 5)
    with refused(
        "train/masks/a.png",
        got=seen[::-1],
        allowed=f"a mask of shape {seen}, like its image",
        hint="save both in the same shape",
    ):
        mask_of(encode(mask.T), image_sides=read_sides(photograph))


def test_mask_of_another_shape_is_refused_with_both_shapes() -> None:
    text = "train/masks/a.png must be a mask of shape (5, 7), like its image, got (7, 5); save both in the same shape"
    with refused("train/masks/a.png", got=(7, 5), text=text):
        mask_of(encode(CLASSES.T))


def test_mask_value_beyond_the_classes_is_refused() -> None:
    allowed = "a mask with class indices from 0 to 1"
    text = f"train/masks/a.png must be {allowed}, got 2"
    with refused("train/masks/a.png", got=2, allowed=allowed, text=text):
        mask_of(encode(CLASSES), num_classes=2)


def test_ignore_label_is_accepted_and_no_other_value() -> None:
    ignored = np.where(CLASSES == 2, np.uint8(255), CLASSES)
    np.testing.assert_array_equal(mask_of(encode(ignored), num_classes=2, ignore_label=255), ignored)
    with refused("train/masks/a.png", got=255, allowed="a mask with class indices from 0 to 1"):
        mask_of(encode(ignored), num_classes=2)
    allowed = "a mask with class indices from 0 to 1, or 254 (data.ignore_label)"
    with refused("train/masks/a.png", got=255, allowed=allowed):
        mask_of(encode(ignored), num_classes=2, ignore_label=254)


@pytest.mark.parametrize(
    ("data", "mode"), [(encode(GREY_AS_COLOUR), "RGB"), (encode(WIDE), "I;16")], ids=["RGB", "I;16"]
)
def test_mask_of_more_than_one_8_bit_channel_is_refused(data: bytes, mode: str) -> None:
    allowed = "a mask with one channel of at most 8 bits (mode 1, L or P)"
    with refused(
        "train/masks/a.png",
        got=mode,
        allowed=allowed,
        text=f"train/masks/a.png must be {allowed}, got {mode!r}",
    ):
        mask_of(data)


def test_unreadable_mask_is_refused_by_name() -> None:
    with refused("train/masks/a.png", hint="replace or remove it"):
        mask_of(b"not an image")
