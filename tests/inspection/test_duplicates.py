"""Duplicates: equal bytes and near copies are found, in whatever order, and nothing else is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.facts import Facts
from pipeline.data.sources import load_source, open_source
from pipeline.inspection.duplicates import Duplicates, find_equal, find_near
from pipeline.inspection.survey import survey
from tests.makers import data_section, encode, write_class_folders, write_files


def find(root: Path) -> tuple[Duplicates, Duplicates]:
    facts = Facts(**data_section(root))
    with open_source(facts) as archive:
        samples = load_source(facts.format).samples(archive, facts)
        found = survey(archive, samples, facts)
    return find_equal(found, lambda sample: sample.target), find_near(found, lambda sample: sample.target)


def photograph() -> Any:
    """Return a smooth picture, as photographs are."""
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)


def test_noise_has_no_duplicates(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data", num_images=30, sides=(20, 20))
    equal, near = find(tmp_path / "data")
    assert (equal.groups, near.groups) == (0, 0)


def test_equal_bytes_are_counted_within_classes_across_classes_and_across_splits(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data")
    first, second, third = (encode(np.full((8, 8), value, np.uint8)) for value in (1, 2, 3))
    write_files(
        tmp_path / "data", {"train/cat/a.png": first, "train/cat/b.png": first, "train/cat/c.png": first}
    )
    write_files(tmp_path / "data", {"train/cat/d.png": second, "train/dog/d.png": second})
    write_files(tmp_path / "data", {"train/dog/e.png": third, "val/dog/e.png": third})
    equal, near = find(tmp_path / "data")
    assert (equal.groups, equal.images, equal.across_classes, equal.across_splits) == (3, 7, 1, 1)
    assert {tuple(names) for names in equal.examples[:2]} == {
        ("train/cat/d.png", "train/dog/d.png"),
        ("train/dog/e.png", "val/dog/e.png"),
    }
    assert near.groups == 0  # plain images look like nothing


@pytest.mark.parametrize(
    "copy",
    [
        encode(photograph(), "JPEG", quality=90),
        encode(photograph().resize((192, 144), Image.Resampling.BICUBIC)),
        encode(photograph().convert("L")),
        encode(photograph(), "BMP"),
    ],
    ids=["JPEG", "enlarged", "grey", "BMP"],
)
def test_near_copy_of_a_photograph_is_found(copy: bytes, tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data", num_images=30, sides=(20, 20))
    write_files(tmp_path / "data", {"train/cat/a.png": encode(photograph()), "test/dog/b.png": copy})
    equal, near = find(tmp_path / "data")
    assert equal.groups == 0
    assert (near.groups, near.images, near.across_classes, near.across_splits) == (1, 2, 1, 1)
    assert near.examples == [["test/dog/b.png", "train/cat/a.png"]]


def test_images_of_the_same_hash_that_look_different_are_no_duplicates(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 72, 2, dtype=np.uint8), (36, 1))
    write_class_folders(tmp_path / "data")
    write_files(tmp_path / "data", {"train/cat/a.png": encode(ramp), "train/dog/b.png": encode(ramp * 3)})
    _, near = find(tmp_path / "data")
    assert near.groups == 0
