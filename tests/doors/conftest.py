"""Projects of their own for tests that run commands: nothing is written to the checkout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doors.project import Project, clone_checkout, empty_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty project that sees the data of this checkout."""
    return empty_project(tmp_path)


@pytest.fixture
def copy(reproduced: Project, tmp_path: Path) -> Project:
    """Return a copy of what the module has reproduced, to be changed."""
    shutil.copytree(reproduced.root, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


@pytest.fixture(scope="session")
def clone() -> Callable[[Path], Project]:
    """Return a function that makes a git checkout of the working tree, data included."""

    return clone_checkout
