"""Projects that cannot be written: what is finished is found, what is not is refused in one sentence."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.doors.project import TINY, Project

pytestmark = pytest.mark.slow

RUN = ["-m", "pipeline.train", *TINY, "trainer.max_epochs=1"]


@pytest.fixture
def ordinary() -> list[str]:
    """Return the start of a command that has no rights beyond those of files, even as root."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and setpriv is not there to take that from it")
    return ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"]


@pytest.fixture
def finished(project: Project) -> Iterator[Project]:
    """Return a project with a finished run that nobody may write to."""
    project.run(sys.executable, *RUN)
    paths = [project.root, *(path for path in project.root.rglob("*") if not path.is_symlink())]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    yield project
    for path in paths:
        path.chmod(path.stat().st_mode | 0o200)


def test_finished_run_is_found_and_a_new_one_is_refused(finished: Project, ordinary: list[str]) -> None:
    said = finished.run(*ordinary, sys.executable, *RUN)
    assert "val/accuracy" in said
    assert "Traceback" not in said
    said = finished.run(*ordinary, sys.executable, *RUN, "seed=1", fails=True)
    assert said.count("error: ") == 1
    assert "let this user read and write it" in said
    assert "Traceback" not in said
