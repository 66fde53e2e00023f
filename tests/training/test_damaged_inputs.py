"""Damaged inputs and states of a training: nothing is kept of them, and the same command makes them again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.keys import fingerprint
from pipeline.errors import DamagedFileError
from pipeline.files import DIFFERENT
from pipeline.runs import cache
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.training.inputs import prepare
from pipeline.training.run import RunRequest, check_unfinished, train
from tests.makers import data_section, declaration, write_class_folders, write_files
from tests.refusals import refused
from tests.training.fitting import QUIET, Tracked, trained


def test_nothing_is_kept_of_damaged_inputs(tmp_path: Path) -> None:
    """The background check ends before the first epoch is recorded, whenever it does."""
    folder, tracked = RunFolder(tmp_path / "run"), Tracked()
    damage = DamagedFileError(tmp_path / "train_images.npy", "is damaged")
    with refused(str(tmp_path / "train_images.npy")):
        trained(folder, QUIET, tracked=tracked, damage=damage)
    assert not {"last.ckpt", "best.ckpt", "weights.pt"} & {path.name for path in folder.path.iterdir()}
    assert tracked.told == [0], "no epoch was logged"
    assert tracked.final == {}


def test_damage_that_makes_training_fail_is_mended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels beyond the classes fail in the first batch, perhaps before the background check has read them."""
    write_class_folders(tmp_path / "data.zip")
    sections = compose_sections(["model=linear", "trainer.max_epochs=1", "tracking.log_model=false"])
    small = {name: sections[name] for name in ("model", "trainer", "tracking")}
    tiny = declaration(data_section(tmp_path / "data.zip"), **small)
    targets = prepare(tiny, root=tmp_path) / "train_targets.npy"
    stat, content = targets.stat(), targets.read_bytes()
    targets.write_bytes(content[:-4] + b"\xff" * 4)
    os.utime(targets, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    monkeypatch.setattr(cache, "LARGE", 0)
    request = RunRequest("test", "test", waits=False)
    folder = train(tiny, request, RunContext(tmp_path))
    assert folder.is_finished()
    assert targets.read_bytes() == content
    assert f"{targets} {DIFFERENT}" in capsys.readouterr().err


def test_damaged_state_does_not_stop_a_sweep_before_it_is_mended(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip")
    tiny = declaration(data_section(tmp_path / "data.zip"), model=compose_sections(["model=linear"])["model"])
    run = tmp_path / "runs" / fingerprint(tiny, root=tmp_path)
    write_files(run, {"run.json": b""})
    check_unfinished(tiny, root=tmp_path)
    assert (run / "run.json").exists()
