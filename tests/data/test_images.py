"""Images: exact pixels from every accepted file, the name and a reason for every refused one."""

import contextlib
import subprocess
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.data import images
from pipeline.data.images import is_misnamed, load_formats
from pipeline.data.sources import FORMATS
from pipeline.errors import ConfigError
from tests.data.orientations import TURNS, oriented
from tests.makers import decode, deep_png, deep_tiff, encode, huge_png, with_empty_page
from tests.refusals import refused

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
BLACK_WHITE = (GREY > 127) * np.uint8(255)
GREY_AS_COLOUR = np.repeat(GREY[..., None], 3, axis=-1)
OPAQUE = np.full((5, 7, 1), 255, np.uint8)
PALETTE = Image.fromarray(COLOUR).quantize(16)
WIDE = GREY.astype(np.uint16) * 257  # 0..255 widened to 0..65535

ACCEPTED = {
    # file                                                 pixels as (H, W) or (H, W, 3)
    "L": (encode(GREY), GREY),
    "1": (encode(Image.fromarray(BLACK_WHITE).convert("1")), BLACK_WHITE),
    "P": (encode(PALETTE), np.asarray(PALETTE.convert("RGB"))),
    "P of greys": (encode(Image.fromarray(GREY).convert("P")), GREY),
    "P with an unused transparent colour": (
        encode(Image.fromarray(GREY // 2).convert("P"), transparency=255),
        GREY // 2,
    ),
    "RGB": (encode(COLOUR), COLOUR),
    "RGB of equal channels": (encode(GREY_AS_COLOUR), GREY),
    "opaque RGBA": (encode(np.concatenate([COLOUR, OPAQUE], axis=-1)), COLOUR),
    "opaque LA": (encode(Image.fromarray(GREY).convert("LA")), GREY),
    "L with an unused transparent value": (encode(GREY | 1, transparency=2), GREY | 1),
    "I;16 widened": (encode(WIDE), GREY),
    "I;16B widened": (encode(Image.fromarray(WIDE.astype(">u2")), "TIFF"), GREY),
    "BMP": (encode(COLOUR, "BMP"), COLOUR),
    "GIF": (encode(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB"))),
    "TIFF": (encode(COLOUR, "TIFF", compression="tiff_lzw"), COLOUR),
    "PPM": (encode(COLOUR, "PPM"), COLOUR),
    "WebP": (encode(COLOUR, "WEBP", lossless=True), COLOUR),
    "AVIF": (encode(GREY, "AVIF", quality=100), GREY),
}
ACCEPTED |= {f"orientation {turn}": (oriented(COLOUR, turn), act(COLOUR)) for turn, act in TURNS.items()}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_file_gives_its_exact_pixels_in_colour(name: str) -> None:
    data, pixels = ACCEPTED[name]
    decoded = decode(data, name="a.png", shape=(3, *pixels.shape[:2]))
    expected = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("name", [name for name, (_, pixels) in ACCEPTED.items() if pixels.ndim == 2])
def test_accepted_grey_file_gives_its_exact_pixels_in_one_channel(name: str) -> None:
    data, pixels = ACCEPTED[name]
    decoded = decode(data, name="a.png", shape=(1, *pixels.shape))
    np.testing.assert_array_equal(decoded, pixels[..., None])


@pytest.mark.parametrize(("channels", "values"), [(1, [77]), (3, [77, 77, 77]), (3, [200, 30, 90])])
def test_jpeg_of_one_colour_keeps_it(channels: int, values: list[int]) -> None:
    plain = np.full((5, 7, len(values)), values, np.uint8).squeeze()
    decoded = decode(encode(plain, "JPEG", quality=95), name="a.jpg", shape=(channels, 5, 7))
    assert np.abs(decoded.astype(int) - values).max() <= 3


def test_first_picture_of_a_camera_s_file_of_several_is_read() -> None:
    alone = encode(COLOUR, "JPEG", quality=95)
    several = encode(COLOUR, "MPO", save_all=True, append_images=[Image.fromarray(255 - COLOUR)], quality=95)
    decoded = [decode(data, name="a.jpg", shape=(3, 5, 7)) for data in (alone, several)]
    np.testing.assert_array_equal(*decoded)


def test_avif_of_more_than_8_bits_is_refused() -> None:
    data = bytearray(encode(GREY, "AVIF"))
    data[data.index(b"pixi") + 9] = 10  # bits of its only channel
    with refused("a.avif", got=16, hint="save it with 8 bits"):
        decode(bytes(data), name="a.avif", shape=(1, 5, 7))


def test_avif_that_pillow_cannot_decode_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ALLOWED", tuple(name for name in images.ALLOWED if name != "AVIF"))
    monkeypatch.setattr(images.features, "check", lambda name: name != "avif")
    text = (
        "a.avif: is an AVIF image, which the installed Pillow cannot decode; install a wheel of Pillow that has "
        "libavif, as those of PyPI have, or save it as PNG"
    )
    with refused("a.avif", text=text):
        decode(encode(GREY, "AVIF"), name="a.avif", shape=(1, 5, 7))


@pytest.mark.parametrize("channels", [1, 3])
def test_image_is_resized_to_rows_and_columns_of_the_shape(channels: int) -> None:
    halves = np.zeros((40, 60), np.uint8)
    halves[:, 30:] = 200
    decoded = decode(encode(halves), name="a.png", shape=(channels, 10, 6))
    assert decoded.shape == (10, 6, channels)
    assert np.all(decoded[:, :2] == 0)
    assert np.all(decoded[:, 4:] == 200)


def test_resizing_averages_so_that_a_fine_pattern_becomes_grey() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    decoded = decode(encode(stripes), name="a.png", shape=(1, 8, 8))
    assert np.abs(decoded[1:-1, 1:-1].astype(int) - 127).max() <= 2


TRANSPARENT = np.concatenate([COLOUR, OPAQUE - 1], axis=-1)
SEVERAL = Image.fromarray(GREY)
DEEP = {"got": 16, "allowed": "an image with 8 bits per channel", "hint": "save it with 8 bits"}
DEEP_GREY = {"hint": "set data.value_range=[<low>,<high>]"}
SEE_THROUGH = {"hint": "paste it onto a background and save it without alpha"}
FRAMES = {"hint": "save the frame you need to a file of its own"}
UNREADABLE = {"hint": "replace or remove it"}
REFUSED: dict[str, tuple[bytes, dict[str, Any]]] = {
    # file                        bytes                                   fields of the error
    "text": (b"version https://git-lfs.github.com/spec/v1", UNREADABLE),
    "empty": (b"", UNREADABLE),
    "truncated PNG": (encode(COLOUR)[:-40], UNREADABLE),
    "truncated JPEG": (encode(COLOUR, "JPEG")[:-20], UNREADABLE),
    "TIFF with an empty second page": (with_empty_page(encode(COLOUR, "TIFF")), FRAMES),
    "16-bit grey PNG": (encode(WIDE + 1), DEEP_GREY),
    "16-bit grey TIFF": (encode(WIDE + 1, "TIFF"), DEEP_GREY),
    "16-bit grey PGM": (b"P5 1 1 65535\n\x12\x34", DEEP_GREY),
    "16-bit colour PNG": (deep_png(2, 3), DEEP),
    "16-bit LA PNG": (deep_png(4, 2), DEEP),
    "16-bit RGBA PNG": (deep_png(6, 4), DEEP),
    "16-bit colour TIFF": (deep_tiff(), DEEP),
    "16-bit colour PPM": (b"P6 1 1 65535\n" + b"\x12\x34" * 3, DEEP),
    "CMYK JPEG": (
        encode(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
        {"got": "CMYK", "hint": "save it as RGB"},
    ),
    "floats": (encode(GREY.astype(np.float32), "TIFF"), DEEP_GREY),
    "transparent RGBA": (encode(TRANSPARENT), SEE_THROUGH),
    "transparent LA": (encode(Image.fromarray(TRANSPARENT).convert("LA")), SEE_THROUGH),
    "transparent colour of a palette": (encode(PALETTE, transparency=PALETTE.getpixel((0, 0))), SEE_THROUGH),
    "transparent value of a grey PNG": (encode(GREY, transparency=int(GREY[0, 0])), SEE_THROUGH),
    "transparent value of a colour PNG": (
        encode(COLOUR, transparency=tuple(COLOUR[0, 0].tolist())),
        SEE_THROUGH,
    ),
    "GIF of several frames": (encode(SEVERAL, "GIF", save_all=True, append_images=[PALETTE]), FRAMES),
    "TIFF of several pages": (encode(SEVERAL, "TIFF", save_all=True, append_images=[SEVERAL]), FRAMES),
    "animated PNG": (encode(SEVERAL, save_all=True, append_images=[Image.fromarray(255 - GREY)]), FRAMES),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", REFUSED)
def test_file_that_cannot_be_converted_without_loss_is_refused_by_name(name: str, channels: int) -> None:
    data, fields = REFUSED[name]
    with refused("train/a.png", **fields):
        decode(data, name="train/a.png", shape=(channels, 5, 7))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("truncated PNG", "a.png: unreadable image (image file is truncated); replace or remove it"),
        ("16-bit colour PNG", "a.png must be an image with 8 bits per channel, got 16; save it with 8 bits"),
        ("CMYK JPEG", "a.png: image mode cannot be converted without loss, got 'CMYK'; save it as RGB"),
        ("transparent RGBA",
         "a.png: image has transparent pixels; paste it onto a background and save it without alpha"),
        ("animated PNG",
         "a.png: has several frames; save the frame you need to a file of its own"),
    ],
)  # fmt: skip
def test_refusal_names_the_file_and_the_way_out(name: str, text: str) -> None:
    with refused("a.png", text=text):
        decode(REFUSED[name][0], name="a.png", shape=(3, 5, 7))


ALMOST_GREY = [GREY_AS_COLOUR ^ np.eye(3, dtype=np.uint8)[channel] for channel in range(3)]


@pytest.mark.parametrize("data", [*map(encode, [COLOUR, PALETTE, *ALMOST_GREY]), encode(COLOUR, "JPEG")])
def test_colour_is_refused_where_one_channel_is_asked(data: bytes) -> None:
    hint = "set 3 channels in data.shape, or save it in grey"
    with refused("a.png", hint=hint, text=f"a.png: image is in colour, but data.shape has 1 channel; {hint}"):
        decode(data, name="a.png", shape=(1, 5, 7))


@pytest.mark.parametrize("channels", [1, 3])
def test_image_of_more_pixels_than_allowed_is_refused_before_it_takes_memory(channels: int) -> None:
    load_formats()
    text = "a.png: has 400,000,000 pixels, more than data.max_pixels=100000000; downscale it, or raise data.max_pixels"
    with refused("a.png", text=text):
        decode(huge_png(40_000, 10_000), name="a.png", shape=(channels, 5, 7), max_pixels=100_000_000)


def test_bound_on_pixels_replaces_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would refuse twice as many
    load_formats()
    assert decode(encode(GREY), name="a.png", shape=(1, 5, 7), max_pixels=35).shape == (5, 7, 1)
    with refused("a.png", hint="raise data.max_pixels"):
        decode(encode(GREY), name="a.png", shape=(1, 5, 6), max_pixels=34)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 7 5\n%%EndComments\nshowpage\n%%EOF\n"
OTHERS = {"EPS": EPS, "ICO": encode(GREY, "ICO"), "TGA": encode(GREY, "TGA"), "PCX": encode(GREY, "PCX")}


@pytest.mark.parametrize("content", OTHERS)
def test_file_of_another_format_is_refused_whatever_it_is_called(
    content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        pytest.fail("started a program")

    load_formats()
    monkeypatch.setattr(subprocess, "Popen", start)  # as Pillow starts Ghostscript
    monkeypatch.setattr(subprocess, "check_call", start)
    text = "a.png: is not an image of a known format (AVIF, BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP); replace or remove it"
    with refused("a.png", text=text):
        decode(OTHERS[content], name="a.png", shape=(1, 5, 7))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", sorted(set(FORMATS.values())))
def test_content_that_is_not_what_the_suffix_says_is_noticed(content: str, suffix: str) -> None:
    data = encode(GREY, content)
    assert is_misnamed(data, f"a{suffix.upper()}") == (content != FORMATS[suffix])


@settings(deadline=None, max_examples=200, derandomize=True)
@given(data=st.data())
def test_damaged_file_is_read_or_refused_and_never_a_traceback(data: st.DataObject) -> None:
    whole = bytearray(ACCEPTED[data.draw(st.sampled_from(sorted(ACCEPTED)))][0])
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, on corrupt metadata
        with contextlib.suppress(ConfigError):
            assert decode(bytes(whole), name="a", shape=(3, 4, 4), max_pixels=10**6).shape == (4, 4, 3)
