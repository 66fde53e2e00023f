"""Provenance: what git, packages and machine say of a run."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.tracking.provenance import PACKAGES, git_state, hardware, versions


def git(root: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *settings, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "artifacts").mkdir()
    for name in ("code.py", "dvc.lock", "artifacts/compose.yaml"):
        (tmp_path / name).write_text("old\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert git_state(checkout) == {"commit": git(checkout, "rev-parse", "HEAD").strip(), "dirty": "false"}


@pytest.mark.parametrize("staged", [False, True])
def test_patch_leads_from_the_commit_to_the_code_that_ran(staged: bool, checkout: Path) -> None:
    (checkout / "code.py").write_text("new\n")
    if staged:
        git(checkout, "add", ".")
    state = git_state(checkout)
    assert state["dirty"] == "true"
    git(checkout, "reset", "--hard")
    (checkout.parent / "a.patch").write_text(state["patch"])
    git(checkout, "apply", str(checkout.parent / "a.patch"))
    assert (checkout / "code.py").read_text() == "new\n"


def test_what_the_pipeline_writes_itself_does_not_count(checkout: Path) -> None:
    (checkout / "dvc.lock").write_text("new\n")
    (checkout / "artifacts" / "compose.yaml").write_text("new\n")
    assert git_state(checkout)["dirty"] == "false"


def test_text_that_is_not_utf8_is_no_obstacle(checkout: Path) -> None:
    (checkout / "code.py").write_bytes(b"# caf\xe9\n")
    state = git_state(checkout)
    assert state["dirty"] == "true"
    assert "+# caf" in state["patch"]


def test_outside_a_repository_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == {"commit": "unknown", "dirty": "unknown"}


def test_without_git_the_commit_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(checkout) == {"commit": "unknown", "dirty": "unknown"}


def test_versions_are_those_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = versions()
    assert set(found) == {"python", *PACKAGES}
    assert found["torch"] == version("torch")
    monkeypatch.setattr("pipeline.tracking.provenance.PACKAGES", ("no-such-package",))
    assert versions.__wrapped__()["no-such-package"] == "not installed"
    assert versions() == found, "looked up once a process"


def test_hardware_is_told_in_words() -> None:
    found = hardware()
    assert set(found) == {"processor", "cores", "accelerators"}
    assert all(isinstance(text, str) and text for text in found.values())
    assert int(found["cores"]) >= 1


def test_file_that_git_does_not_track_makes_a_run_dirty(checkout: Path) -> None:
    (checkout / "conf").mkdir()
    (checkout / "conf" / "new.yaml").write_text("a: 1\n")
    (checkout / "notes.txt").write_text("not part of a run\n")
    state = git_state(checkout)
    assert state["dirty"] == "true"
    assert state["patch"] == "# not tracked: conf/new.yaml\n"
