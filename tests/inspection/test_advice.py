"""What `inspect` advises: a resize rule, a range of values, and remarks on unusual images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import Facts
from pipeline.inspection.inspected import Inspected, inspect_data
from tests.data.orientations import oriented
from tests.makers import data_section, encode, write_files

RANDOM = np.random.default_rng(0)
NAMES = ("cat", "dog")
OPEN = ("shape", "resize", "value_range")


def noise(rows: int, columns: int, depth: type = np.uint8, most: int = 255) -> Any:
    return RANDOM.integers(0, most, (rows, columns), dtype=depth)


def inspected(files: dict[str, bytes], folder: Path, **facts: Any) -> Inspected:
    section = data_section(
        write_files(folder / "data", files), split={"val": 0.2, "test": 0.2, "seed": 0}, **facts
    )
    return inspect_data(Facts(**section), folder / "page", open_facts=OPEN)


def remarks(found: Inspected) -> list[str]:
    (block,) = [block for block in found.blocks if block.title == "Images"]
    return list(block.remarks)


@pytest.mark.parametrize(("num_wide", "rule"), [(1, "squash"), (2, "letterbox")])
def test_letterbox_is_advised_if_more_than_a_tenth_of_the_images_would_be_squashed(
    num_wide: int, rule: str, tmp_path: Path
) -> None:
    files = {f"cat/{index:02}.png": encode(noise(64, 64)) for index in range(10 - num_wide)}
    files |= {f"dog/wide_{index}.png": encode(noise(32, 96)) for index in range(num_wide)}
    found = inspected(files, tmp_path)
    assert (found.facts.resize, found.facts.ignore_label) == (rule, None)
    expected = [
        f"data.resize: images whose aspect ratio changes by more than a quarter: {num_wide}, such as dog/wide_0.png; "
        "data.resize=letterbox or crop keeps it"
    ]
    assert remarks(found) == (expected if rule == "squash" else [])


def test_letterbox_of_masks_comes_with_a_label_to_ignore(tmp_path: Path) -> None:
    files = {}
    for index in range(10):
        columns = 96 if index % 2 else 64
        files[f"images/{index}.png"] = encode(noise(64 if columns == 64 else 32, columns))
        files[f"masks/{index}.png"] = encode(noise(64 if columns == 64 else 32, columns, most=2))
    found = inspected(files, tmp_path, format="image_masks")
    assert (found.facts.resize, found.facts.ignore_label) == ("letterbox", 255)


@pytest.mark.parametrize(("most", "value_range"), [(900, [0, 1023]), (4096, [0, 4095]), (60_000, [0, 65535])])
def test_range_of_16_bits_is_found(most: int, value_range: list[int], tmp_path: Path) -> None:
    files = {
        f"{label}/{index}.png": encode(noise(40, 40, np.uint16, most))
        for label in ("cat", "dog")
        for index in range(8)
    }
    found = inspected(files, tmp_path)
    assert found.facts.value_range == value_range
    assert found.problems == []
    mixed = inspected({**files, "cat/shallow.png": encode(noise(40, 40))}, tmp_path / "mixed")
    assert mixed.problems == ["images of 8 bits among those of 16: 1; save all with 8 bits, or all with 16"]


def test_brightness_of_16_bits_is_that_of_the_prepared_images(tmp_path: Path) -> None:
    """Values from 1000 to 1010 of a range to 4095 are dark, also before that range is known."""
    files = {
        f"{label}/{index}.png": encode(1000 + noise(40, 40, np.uint16, 11))
        for label in NAMES
        for index in range(8)
    }
    files["dog/8.png"] = encode(np.full((40, 40), 4095, np.uint16))
    shown = [inspected(files, tmp_path)]
    section = data_section(
        tmp_path / "data", split={"val": 0.2, "test": 0.2, "seed": 0}, value_range=[0, 4095]
    )
    shown.append(inspect_data(Facts(**section), tmp_path / "declared"))
    for found in shown:
        assert found.facts.value_range == [0, 4095]
        (block,) = [block for block in found.blocks if block.title == "Images"]
        assert dict(block.rows)["brightness"].startswith("63 of 255 in the median; ")  # 1005 / 4095 of 255


def test_range_is_none_for_8_bits_even_if_they_were_widened(tmp_path: Path) -> None:
    files = {
        f"{label}/{index}.png": encode(noise(40, 40, np.uint16) * 257)
        for label in ("cat", "dog")
        for index in range(8)
    }
    assert inspected(files, tmp_path).facts.value_range is None


def test_turned_images_and_lines_are_remarked_on(tmp_path: Path) -> None:
    files = {}
    for index in range(20):
        files[f"images/{index:02}.png"] = encode(noise(40, 40))
        files[f"masks/{index:02}.png"] = encode(noise(40, 40, most=2))
    files["images/03.png"] = oriented(noise(40, 40), 6)
    files |= {"images/line.png": encode(noise(300, 20)), "masks/line.png": encode(noise(300, 20, most=2))}
    found = remarks(inspected(files, tmp_path, format="image_masks"))
    assert [each.split("; ")[0] for each in found] == [
        "data.resize: images whose aspect ratio changes by more than a quarter: 1, such as images/line.png",
        "data.root: images of extreme shape: 1, such as images/line.png (300 x 20)",
        "data.root: images that EXIF turns, but not their masks: 1, such as images/03.png",
    ]
