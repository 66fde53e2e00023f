"""Projects of their own for tests that run commands: nothing is written to the checkout."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.project import ROOT, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project that sees the data of this checkout."""
    _needs_data()
    (tmp_path / "data").symlink_to(ROOT / "data")
    return Project(tmp_path)


@pytest.fixture
def copy(reproduced: Project, tmp_path: Path) -> Project:
    """Return a copy of what the module has reproduced, to be changed."""
    shutil.copytree(reproduced.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


@pytest.fixture(scope="session")
def clone() -> Callable[[Path], Project]:
    """Return a function that makes a git checkout of the working tree, data included."""

    def make(target: Path) -> Project:
        _needs_data()
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for name in listed:
            if (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name)
        made = Project(target)
        made.run("git", "init", "--quiet")
        made.run("git", "add", "--all")
        made.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "clone")
        return made

    return make


def _needs_data() -> None:
    if not (ROOT / "data" / "digits.zip").exists():
        pytest.skip("data/digits.zip is absent: run dvc pull")
