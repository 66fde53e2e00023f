"""What is unusual about images is said once, with how many there are and the name of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.external import prepare_external
from pipeline.data.facts import Facts
from pipeline.data.prepared import write_prepared
from pipeline.errors import warn
from tests.data.orientations import oriented
from tests.makers import data_section, encode, write_files

RANDOM = np.random.default_rng(0)


def noise(rows: int, columns: int) -> Any:
    return RANDOM.integers(0, 256, (rows, columns), dtype=np.uint8)


def warnings_about(
    files: dict[str, bytes], folder: Path, capsys: pytest.CaptureFixture[str], **facts: Any
) -> list[str]:
    """Return what is said while files are prepared that are beside one plain image of each class and split."""
    is_mask = facts.get("format") == "image_masks"
    places = ("images", "masks") if is_mask else ("cat", "dog")
    for split in ("train", "val", "test"):
        for place in places:
            pixels = np.eye(8, dtype=np.uint8) if place == "masks" else noise(8, 8)
            files.setdefault(f"{split}/{place}/plain.png", encode(pixels))
    section = data_section(write_files(folder / "data", files), **facts)
    (folder / "prepared").mkdir()
    warn.cache_clear()
    capsys.readouterr()
    write_prepared(Facts(**section), folder / "prepared", data_digest="")
    return capsys.readouterr().err.splitlines()


def test_squashed_images_are_counted_and_a_letterbox_is_named_as_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        f"train/cat/{name}.png": encode(noise(8, columns))
        for name, columns in (("a", 10), ("c", 11), ("b", 20))
    }
    said = warnings_about({**files}, tmp_path, capsys)
    assert said == [
        "warning: data.resize: images whose aspect ratio changes by more than a quarter: 2, such as train/cat/b.png; "
        "data.resize=letterbox or crop keeps it"
    ]
    (tmp_path / "kept").mkdir()
    assert warnings_about(files, tmp_path / "kept", capsys, resize="letterbox") == []


def test_lines_and_dots_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"val/cat/line.png": encode(noise(3000, 20)), "val/cat/x_dot.png": encode(noise(1, 1))}
    assert warnings_about(files, tmp_path, capsys, resize="crop") == [
        "warning: data.root: images of extreme shape: 2, such as val/cat/line.png (3000 x 20); "
        "are they what you mean to train on?"
    ]


def test_image_that_exif_turns_beside_a_mask_that_it_does_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((8, 8), np.uint8)
    files = {
        "train/images/upside_down.png": oriented(noise(8, 8), 3),
        "train/masks/upside_down.png": encode(mask),
        "train/images/both.png": oriented(noise(8, 8), 3),
        "train/masks/both.png": oriented(mask, 3),
        "train/images/upright.png": oriented(noise(8, 8), 1),
        "train/masks/upright.png": encode(mask),
    }
    assert warnings_about(files, tmp_path, capsys, format="image_masks") == [
        "warning: data.root: images that EXIF turns, but not their masks: 1, such as train/images/upside_down.png; "
        "masks are taken to fit the image as it is seen; look at one with python -m pipeline.inspect"
    ]


def test_values_outside_of_the_declared_range_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = {
        f"{split}/{label}/{name}.png": encode(noise(8, 8).astype(np.uint16) * factor)
        for split in ("train", "val", "test")
        for label in ("cat", "dog")
        for name, factor in (("plain", 1), ("bright", 4))
    }
    assert warnings_about(deep, tmp_path, capsys, value_range=[0, 300]) == [
        "warning: data.value_range: images with values outside of it: 6, such as test/cat/bright.png; these are clipped"
    ]


def test_external_images_are_remarked_on_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_files(tmp_path / "other", {"cat/wide.png": encode(noise(8, 30))})
    (tmp_path / "prepared").mkdir()
    warn.cache_clear()
    prepare_external(Facts(**data_section(root)), tmp_path / "prepared", split="all")
    assert "such as cat/wide.png" in capsys.readouterr().err
