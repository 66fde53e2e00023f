"""Masks: the exact values of every accepted file, the name and a reason for every refused one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.data.facts import Facts
from pipeline.data.images import read_sides
from pipeline.data.masks import Coding, Palettes, decode_mask
from pipeline.data.prepared import write_prepared
from pipeline.data.resizing import Resizing
from pipeline.errors import ConfigError
from tests.data.orientations import TURNS, oriented
from tests.makers import Pixels, data_section, encode, write_image_masks
from tests.refusals import refused

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
CLASSES = RANDOM.integers(0, 3, (5, 7), dtype=np.uint8)
BLACK_WHITE = (GREY > 127) * np.uint8(255)


def mask_of(data: bytes, **changes: Any) -> Pixels:
    coding = {"num_classes": 3, "ignore_label": None}
    coding |= {
        key: changes.pop(key)
        for key in ("num_classes", "ignore_label", "values", "colours")
        if key in changes
    }
    resizing = Resizing("squash", changes.pop("sides", (5, 7)), padding_value=0)
    facts: dict[str, Any] = {"name": "train/masks/a.png", "image_sides": (5, 7), "padding": 0, **changes}
    return decode_mask(data, coding=Coding(**coding), resizing=resizing, **facts)


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
        pytest.param(encode(CLASSES.astype(np.uint16)), CLASSES, id="16 bits"),
        pytest.param(encode(CLASSES.astype(np.int32), "TIFF"), CLASSES, id="32 bits"),
        pytest.param(encode(CLASSES.astype(np.float32), "TIFF"), CLASSES, id="whole numbers as floats"),
        pytest.param(encode(np.repeat(CLASSES[..., None], 3, axis=-1)), CLASSES, id="RGB of equal channels"),
        pytest.param(encode(Image.fromarray(CLASSES).convert("LA")), CLASSES, id="opaque"),
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
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_mask_is_compared_with_the_image_as_it_is_seen(turn: int, file_format: str) -> None:
    photograph = oriented(COLOUR, turn, file_format)
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
    text = (
        f"train/masks/a.png must be {allowed}, got 2; set data.mask_values={{0: <class>, 1: <class>, 2: <class>}} if "
        "other values stand for classes"
    )
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


def test_mask_in_colour_is_refused() -> None:
    allowed = "a mask with one channel, or with equal channels"
    text = (
        f"train/masks/a.png must be {allowed}, got 'RGB'; or set data.mask_values={{\"#ff0000\": <class>, ...}} if its "
        "colours stand for classes"
    )
    with refused("train/masks/a.png", got="RGB", allowed=allowed, text=text):
        mask_of(encode(COLOUR))


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_mask_of_fractions_is_refused(value: float) -> None:
    fractions = np.where(CLASSES == 2, np.float32(value), CLASSES.astype(np.float32))
    hint = "save one whole number for each class"
    with refused("train/masks/a.png", hint=hint) as caught:
        mask_of(encode(fractions, "TIFF"))
    assert caught.value.problem == "has values that are no whole numbers"


def test_mask_of_negative_numbers_is_refused() -> None:
    with refused("train/masks/a.png", got=-1):
        mask_of(encode(CLASSES.astype(np.int32) - 1, "TIFF"))


WHITE = (CLASSES > 0) * np.uint8(255)
RED_GREEN = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 0]], np.uint8)[CLASSES]
MEANINGS = {"#ff0000": 0, "#00ff00": 1, "#000000": 2}


@pytest.mark.parametrize(
    "data",
    [
        encode(WHITE),
        encode(Image.fromarray(WHITE).convert("1")),
        encode(WHITE, "TIFF"),
        encode(WHITE, "WEBP", lossless=True),
        encode(np.repeat(WHITE[..., None], 3, axis=-1)),
        encode(WHITE.astype(np.uint16)),
    ],
    ids=["grey", "one bit", "TIFF", "WebP", "RGB of equal channels", "16 bits"],
)
def test_values_mean_the_classes_that_are_declared(data: bytes) -> None:
    np.testing.assert_array_equal(mask_of(data, values={0: 2, 255: 1}), np.where(CLASSES > 0, 1, 2))


def test_one_bit_may_be_declared_as_0_and_1() -> None:
    bits = Image.fromarray(WHITE).convert("1")
    np.testing.assert_array_equal(mask_of(encode(bits), values={0: 1, 1: 0}), CLASSES == 0)


def test_values_of_16_bits_are_read() -> None:
    wide = CLASSES.astype(np.uint16) * 1000
    np.testing.assert_array_equal(mask_of(encode(wide), values={0: 0, 1000: 1, 2000: 2}), CLASSES)


@pytest.mark.parametrize(
    "data",
    [encode(RED_GREEN), encode(Image.fromarray(RED_GREEN).quantize(8)), encode(RED_GREEN, "BMP")],
    ids=["RGB", "palette", "BMP"],
)
def test_colours_mean_the_classes_that_are_declared(data: bytes) -> None:
    np.testing.assert_array_equal(mask_of(data, colours=MEANINGS), CLASSES)
    doubled = CLASSES.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(mask_of(data, colours=MEANINGS, sides=(10, 14)), doubled)


UNKNOWN: list[tuple[bytes, dict[str, Any], str]] = [
    (encode(WHITE), {"values": {0: 0, 1: 1}},
     "must be a mask of the values in data.mask_values: 0, 1, got '255'; add it there with its class, or with null to "
     "ignore it"),
    (encode(RED_GREEN), {"colours": {"#ff0000": 0, "#00ff00": 1}},
     "must be a mask of the values in data.mask_values: #ff0000, #00ff00, got '#000000'; add it there with its class, "
     "or with null to ignore it"),
    (encode(RED_GREEN), {"values": {0: 0, 1: 1}},
     "must be a mask with one channel, as data.mask_values has numbers, got 'RGB'; write colours, as in "
     'data.mask_values={"#ff0000": <class>}'),
    (encode(CLASSES, "JPEG"), {}, ": is a mask saved as JPEG, which changes its values; save it again as PNG, from "
     "what it was made of"),
    (encode(CLASSES, "AVIF"), {}, ": is a mask saved as AVIF, which changes its values; save it again as PNG, from "
     "what it was made of"),
    (encode(CLASSES, "WEBP"), {}, ": is a mask saved as WebP with loss, which changes its values; save it again as "
     "PNG, from what it was made of"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "coding", "text"), UNKNOWN)
def test_mask_that_does_not_have_the_declared_values_is_refused(
    data: bytes, coding: dict[str, Any], text: str
) -> None:
    space = "" if text.startswith(":") else " "
    with refused("train/masks/a.png", text=f"train/masks/a.png{space}{text}"):
        mask_of(data, **coding)


def test_palettes_that_contradict_each_other_are_refused_with_both_files() -> None:
    first, second = indexed(CLASSES), indexed(CLASSES)
    second.putpalette([255, 0, 0, 0, 255, 0, 9, 9, 9] + [0] * 759)
    palettes = Palettes()
    mask_of(encode(first), palettes=palettes)
    mask_of(encode(first), palettes=palettes, name="b.png")
    text = (
        "c.png: value 1 is #00ff00 in its palette, but #0000ff in that of train/masks/a.png; tell classes by colour: "
        'data.mask_values={"#0000ff": <class>, ...}'
    )
    with refused("c.png", text=text):
        mask_of(encode(second), palettes=palettes, name="c.png")
    unused = indexed(CLASSES * 0)
    unused.putpalette([255, 0, 0, 1, 2, 3] + [0] * 762)
    mask_of(encode(unused), palettes=palettes, name="d.png")  # it has no value that means something else


def test_palettes_of_a_data_set_are_compared(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_image_masks(root)
    files = sorted((root / "train" / "masks").iterdir())
    for file, colours in zip(
        files, ([0, 0, 0, 255, 0, 0], [0, 0, 0, 255, 0, 0], [0, 0, 0, 0, 255, 0]), strict=True
    ):
        mask = indexed(np.asarray(Image.open(file)))
        mask.putpalette(colours + [0] * 762)
        mask.save(file)
    facts = Facts(**data_section(root, format="image_masks"))
    with pytest.raises(
        ConfigError, match=r"value 1 is #.* in its palette, but #.* in that of train/masks/00"
    ) as caught:
        write_prepared(facts, tmp_path, data_digest="")
    assert caught.value.path.startswith("train/masks/00")


def test_unreadable_mask_is_refused_by_name() -> None:
    with refused("train/masks/a.png", hint="replace or remove it"):
        mask_of(b"not an image")
