"""A data set of one image, which is in all splits, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.facts import SPLITS, Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.sources import check_source, find_target, open_source
from tests.makers import data_section, encode
from tests.refusals import refused

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def facts(root: Path, **changes: Any) -> Facts:
    own = {
        "format": "one_image",
        "classes": [],
        "shape": [3, 8, 8],
        "split": "folders",
        "allow_duplicates": True,
    }
    return Facts(**data_section(root, **{**own, **changes}))


def prepare(found: Facts, folder: Path) -> Prepared:
    folder.mkdir()
    write_prepared(found, folder, data_digest="sha256:0")
    return Prepared.open(folder, found)


def test_image_is_in_every_split_and_others_beside_it_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(encode(PIXELS))
    (tmp_path / "other.png").write_bytes(b"no image")
    found = facts(tmp_path / "mine.png")
    check_source(found)
    assert find_target(found) == "image"
    with open_source(found) as archive:
        assert archive.names() == ["mine.png"]
    prepared = prepare(found, tmp_path / "out")
    for split in SPLITS:
        assert prepared.files(split) == ["mine.png"]
        assert np.array_equal(prepared.images(split)[0], PIXELS)
    assert prepared.count_trained_on("test") == 1


@pytest.mark.parametrize(
    ("changes", "path", "got"),
    [
        ({"allow_duplicates": False}, "data.allow_duplicates", False),
        ({"classes": ["cat"]}, "data.classes", ["cat"]),
        ({"split": "random"}, "data.split", "random"),
        ({"groups": "(.*)"}, "data.groups", "(.*)"),
        ({"fold": {"index": 0, "of": 2}}, "data.fold", {"index": 0, "of": 2}),
    ],
)
def test_fact_that_would_be_ignored_or_hide_the_repetition_is_refused(
    changes: dict[str, Any], path: str, got: Any, tmp_path: Path
) -> None:
    with refused(path, got=got):
        check_source(facts(tmp_path / "mine.png", **changes))


@pytest.mark.parametrize("name", ["none.png", "folder", "text.txt"])
def test_what_is_no_image_file_is_refused_by_its_path(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("blue")
    with refused("data.root", got=str(tmp_path / name)), open_source(facts(tmp_path / name)):
        pass


def test_image_that_is_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(encode(PIXELS))
    with refused(str(tmp_path / "mine.png")), open_source(facts(tmp_path / "mine.png", max_file_bytes=10)):
        pass
