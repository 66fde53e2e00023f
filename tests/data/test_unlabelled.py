"""Images without targets: what is found, what is passed over, and what is returned with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.facts import Facts
from pipeline.data.unlabelled import UnlabelledImage, Unreadable, open_unlabelled
from tests.makers import data_section, decode, encode, huge_png, write_files
from tests.refusals import refused

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)


def facts(**changes: Any) -> Facts:
    return Facts(**data_section("nowhere", shape=[1, 4, 4], **changes))


@pytest.mark.parametrize("place", ["images", "images.zip"])
def test_images_are_decoded_as_those_of_training_and_other_files_are_counted(
    place: str, tmp_path: Path
) -> None:
    files = {"b/one.png": encode(GREY), "a.png": encode(GREY.T), "readme.txt": b"words", ".hidden.png": b""}
    path = write_files(tmp_path / place, files)
    with open_unlabelled(path, facts()) as images:
        assert images.files == ["a.png", "b/one.png"]
        assert images.num_others == 1
        found = list(images.decoded())
        for each in found:
            assert isinstance(each, UnlabelledImage)
            expected = decode(files[each.file], name=each.file, shape=(1, 4, 4))
            assert np.array_equal(each.pixels, expected)
        assert [each.sides for each in found if isinstance(each, UnlabelledImage)] == [(8, 6), (6, 8)]
        assert isinstance(found[1], UnlabelledImage)
        assert np.array_equal(images.original(found[1])[..., 0], GREY)


def test_sides_are_those_of_the_turned_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_files(tmp_path / "images", {"turned.png": encode(GREY, exif=exif)}) / "turned.png"
    with open_unlabelled(path, facts()) as images:
        (found,) = images.decoded()
        assert isinstance(found, UnlabelledImage)
        assert found.sides == (8, 6)
        assert images.original(found).shape == (8, 6, 1)


def test_what_cannot_be_predicted_is_a_row_with_its_reason_and_not_the_end(tmp_path: Path) -> None:
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[0, 0, 0] = 255
    files = {
        "1_colour.png": encode(colour),
        "2_cut.png": encode(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))[:-200],
        "3_good.png": encode(GREY),
        "4_huge.png": huge_png(2000, 2000),
        "5_text.png": b"no image at all",
        "6_heavy.bmp": encode(np.zeros((60, 60), np.uint8), "BMP"),
    }
    path = write_files(tmp_path / "images", files)
    with open_unlabelled(path, facts(max_pixels=10_000, max_file_bytes=4500)) as images:
        found = list(images.decoded())
    assert [each.file for each in found] == list(files)
    reasons = [each.reason if isinstance(each, Unreadable) else "" for each in found]
    starts = (
        "image is in colour",
        "unreadable image",
        "",
        "has 4,000,000 pixels",
        "is not an image",
        "has 4,678",
    )
    for reason, start in zip(reasons, starts, strict=True):
        assert reason.startswith(start), reason
        assert bool(reason) == bool(start)


def test_places_without_images_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "words", {"a.txt": b"words"})
    hint = "name a folder, a zip file or an image"
    for path, problem in (
        (tmp_path / "nowhere", "no such file or folder"),
        (tmp_path / "words" / "a.txt", "not a complete zip archive"),
    ):
        with refused("images", got=str(path), hint=hint) as caught, open_unlabelled(path, facts()):
            pass
        assert problem in str(caught.value)
    with refused("images", hint="recognised by their suffix"), open_unlabelled(tmp_path / "words", facts()):
        pass
