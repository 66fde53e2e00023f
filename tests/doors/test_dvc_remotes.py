"""The store of the bundled data in git: data come from it by its name, and nothing is pushed to it by mistake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.doors.project import ROOT, Project

BUNDLED = [Path(f"{name}.zip") for name in ("brain", "clocks", "digits", "digits_located", "digits_scenes")]


def files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """Return what DVC needs of a checkout of this project, without data."""
    shutil.copytree(
        ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local")
    )
    shutil.copy2(ROOT / "data.dvc", tmp_path / "data.dvc")
    made = Project(tmp_path)
    made.run("git", "init", "--quiet")
    return made


def test_bundled_data_are_pulled_and_own_data_are_not_pushed_into_the_store(checkout: Project) -> None:
    root = checkout.root
    checkout.run("dvc", "pull", "--quiet", "--remote", "store", "data.dvc")
    assert files(root / "data") == BUNDLED
    before = files(root / ".dvc" / "store")
    (root / "data" / "pets.zip").write_bytes(b"mine")
    checkout.run("dvc", "add", "--quiet", "data")
    said = checkout.run("dvc", "push", fails=True)
    assert "no remote specified" in said
    assert files(root / ".dvc" / "store") == before

    checkout.run("dvc", "remote", "add", "--default", "mine", str(root / "remote"))
    checkout.run("dvc", "push", "--quiet")
    assert len(files(root / "remote")) == len(BUNDLED) + 2, "each file, and the list of them"
    shutil.rmtree(root / "data")
    shutil.rmtree(root / ".dvc" / "cache")
    checkout.run("dvc", "pull", "--quiet")
    assert files(root / "data") == [*BUNDLED, Path("pets.zip")]
    assert files(root / ".dvc" / "store") == before
