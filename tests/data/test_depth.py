"""Images of more than 8 bits by the declared range of their values."""

from __future__ import annotations

import io
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from pipeline.data.depth import to_8_bits
from pipeline.data.facts import Facts
from pipeline.data.images import decode_image
from tests.makers import data_section, decode, encode
from tests.refusals import refused

VALUES = np.random.default_rng(0).integers(0, 4096, (5, 7), dtype=np.uint16)
VALUES[0, :3] = 0, 4095, 2047


def expected(values: np.ndarray, low: int, high: int) -> list[list[int]]:
    """Return grey levels, rounded half up, in exact fractions."""
    share = [[Fraction(min(max(int(v), low), high) - low, high - low) for v in row] for row in values]
    return [[int(each * 255 + Fraction(1, 2)) for each in row] for row in share]


def pgm(values: np.ndarray, largest: int) -> bytes:
    head = f"P5 {values.shape[1]} {values.shape[0]} {largest}\n".encode()
    return head + values.astype(">u2").tobytes()


FILES = {
    "PNG": encode(VALUES),
    "TIFF": encode(VALUES, "TIFF"),
    "big-endian TIFF": encode(Image.fromarray(VALUES.astype(">u2")), "TIFF"),
    "32-bit TIFF": encode(VALUES.astype(np.int32), "TIFF"),
    "whole floats": encode(VALUES.astype(np.float32), "TIFF"),
    "PGM": pgm(VALUES, 65535),
    "PGM that says its largest value": pgm(VALUES, 4095),
    "plain PGM": b"P2 7 5 4095\n" + b" ".join(str(value).encode() for value in VALUES.ravel()),
}


@pytest.mark.parametrize("name", FILES)
def test_values_of_a_declared_range_become_grey_levels(name: str) -> None:
    found = decode(FILES[name], name="a.png", shape=(1, 5, 7), value_range=[0, 4095])
    assert found[..., 0].tolist() == expected(VALUES, 0, 4095)
    colour = decode(FILES[name], name="a.png", shape=(3, 5, 7), value_range=[0, 4095])
    assert np.array_equal(colour, np.repeat(found, 3, axis=-1))


def test_signed_values_are_scaled_and_those_outside_are_clipped_and_noted() -> None:
    values = np.array([[-1024, -1000, 0, 3000, 3071]], np.int32)
    found = to_8_bits(values, [-1000, 3000])
    assert found.tolist() == [[0, 0, 64, 255, 255]]
    facts = Facts(**data_section("nowhere", shape=[1, 1, 5], value_range=[-1000, 3000]))
    assert decode_image(encode(values, "TIFF"), name="a", facts=facts).is_clipped
    assert not decode_image(encode(values.clip(-1000, 3000), "TIFF"), name="a", facts=facts).is_clipped


def test_full_range_gives_what_widened_images_were_made_of() -> None:
    grey = np.arange(256, dtype=np.uint16)
    assert to_8_bits(grey * 257, [0, 65535]).tolist() == grey.tolist()


def test_deep_image_without_a_range_is_refused_with_its_values_and_the_way_out() -> None:
    hint = (
        "set data.value_range=[<low>,<high>], the values that become black and white, or save it with 8 bits"
    )
    with refused("a.png", hint=hint, text=f"a.png: has more than 8 bits: values from 0 to 4095; {hint}"):
        decode(FILES["PNG"], name="a.png", shape=(1, 5, 7))


def test_image_of_8_bits_beside_a_range_and_values_that_are_not_whole_are_refused() -> None:
    hint = "remove data.value_range, or save all images with 16 bits"
    text = f"a.png: has 8 bits per channel, and data.value_range is for more, got 'L'; {hint}"
    with refused("a.png", got="L", hint=hint, text=text):
        decode(encode(np.zeros((5, 7), np.uint8)), name="a.png", shape=(1, 5, 7), value_range=[0, 4095])
    for value in (0.5, np.nan, np.inf):
        broken = VALUES.astype(np.float32)
        broken[2, 2] = value
        hint = "save it with whole numbers, of 8 or 16 bits"
        text = f"a.png: has values that are no whole numbers, got 'F'; {hint}"
        with refused("a.png", got="F", hint=hint, text=text):
            decode(encode(broken, "TIFF"), name="a.png", shape=(1, 5, 7), value_range=[0, 4095])


def test_pillow_still_scales_pgm_files_as_is_undone_here() -> None:
    image = Image.open(io.BytesIO(pgm(VALUES, 4095)))
    assert np.asarray(image).max() == 65535


@pytest.mark.parametrize("name", ["16-bit PNG", "float TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_large_deep_image_takes_few_bytes_per_pixel_beside_those_of_pillow(name: str, channels: int) -> None:
    sides = 2000, 1500
    values = np.arange(sides[0] * sides[1], dtype=np.uint32).reshape(sides) // 1000
    data = encode(values.astype(np.uint16)) if name == "16-bit PNG" else encode(values.astype("f4"), "TIFF")
    facts = Facts(**data_section("nowhere", shape=[channels, 8, 8], value_range=[0, 4095]))
    tracemalloc.start()
    decode_image(data, name="a", facts=facts)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * values.size + 2**22  # of which the arrays of NumPy were 25
