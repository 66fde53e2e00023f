"""Checkpoints: whole on the disk that they are for, recognised when damaged, replaced by the one before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.errors import DamagedFileError
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.checkpoints import DurableCheckpointIO, find_resume_point, read_checkpoint
from tests.training.test_fit import Tracked, trained

Damage = Callable[[bytes], bytes]


def with_other_byte(content: bytes) -> bytes:
    """Change one byte of the first tensor of a checkpoint."""
    place = content.find(b"/data/0") + 200
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


# name: what becomes of the bytes of a file
DAMAGES: dict[str, Damage] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "zeroed tail": lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    "all zeros": lambda content: bytes(len(content)),
    "one byte of a tensor": with_other_byte,
    "text": lambda _: b"not a checkpoint\n",
}


def damage(path: Path, kind: str) -> None:
    path.write_bytes(DAMAGES[kind](path.read_bytes()))


def stop_after(epochs: int) -> TrainingObserver:
    return TrainingObserver(log_artifacts=False, should_stop=lambda history: len(history) >= epochs)


QUIET = TrainingObserver(log_artifacts=False)


def weights(folder: RunFolder) -> bytes:
    return (folder.path / "weights.pt").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    assert trained(folder, QUIET, tracked=Tracked())
    return folder


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_last_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, whole: RunFolder, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not trained(folder, stop_after(3), tracked=Tracked())
    damage(folder.last, kind)
    resumed = find_resume_point(folder, keep="best")
    assert resumed is not None
    assert (resumed.path, len(resumed.history)) == (folder.previous, 2)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{folder.last}: is ")
    assert said.endswith("; training uses previous.ckpt")
    assert trained(folder, QUIET, tracked=Tracked())
    assert weights(folder) == weights(whole)
    assert sorted(path.name for path in folder.path.glob("*.ckpt")) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize(
    "names", [("last.ckpt", "previous.ckpt"), ("best.ckpt",), ("best.ckpt", "last.ckpt")], ids=str
)
def test_training_starts_from_scratch_where_no_checkpoint_can_be_used(
    tmp_path: Path, names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not trained(folder, stop_after(3), "trainer.keep=best", tracked=Tracked())
    for name in names:
        damage(folder.path / name, "zeroed tail")
    assert find_resume_point(folder, keep="best") is None
    assert capsys.readouterr().err.splitlines()[-1].endswith("; training starts from scratch")
    assert find_resume_point(folder, keep="best") is None
    assert capsys.readouterr().err == "", "it is said once"
    assert trained(folder, QUIET, "trainer.keep=best", tracked=Tracked())
    whole = RunFolder(tmp_path / "whole")
    assert trained(whole, QUIET, "trainer.keep=best", tracked=Tracked())
    assert weights(folder) == weights(whole)


def test_kept_last_epoch_does_not_need_the_best_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not trained(folder, stop_after(3), tracked=Tracked())
    folder.best.unlink()
    assert find_resume_point(folder, keep="last") is not None
    assert find_resume_point(folder, keep="best") is None


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    folder, other = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "other")
    assert not trained(other, stop_after(1), tracked=Tracked())
    folder.path.mkdir()
    folder.last.write_bytes(other.last.read_bytes())
    with pytest.raises(DamagedFileError) as caught:
        read_checkpoint(folder.last)
    assert (caught.value.file, caught.value.problem) == (folder.last, "is not a checkpoint of this run")


def test_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_checkpoint(tmp_path)


def test_checkpoint_is_written_beside_its_target_and_flushed_before_it_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr("tempfile.tempdir", None)
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        events.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def replaced(path: Path, target: Path) -> Path:
        events.append(f"{path.name} -> {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    for epoch in range(3):
        DurableCheckpointIO(folder).save_checkpoint({"epoch": epoch}, folder.last)
    draft = f".last.ckpt.{os.getpid()}"
    assert events[-4:] == [
        "last.ckpt -> previous.ckpt",
        f"fsync {draft}",
        f"{draft} -> last.ckpt",
        "fsync run",
    ]
    found = {path.name: torch.load(path, weights_only=True)["epoch"] for path in folder.path.iterdir()}
    assert found == {"last.ckpt": 2, "previous.ckpt": 1}
