"""What a training leaves open: no file, before garbage is collected."""

from __future__ import annotations

import gc
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from tests.training.test_fit import QUIET, Tracked, trained


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize("ends", ["finished", "pruned", "refused"])
def test_trainings_leave_no_file_open_before_garbage_is_collected(tmp_path: Path, ends: str) -> None:
    observer = QUIET if ends != "pruned" else TrainingObserver(should_stop=lambda history: True)
    overrides = ["trainer.max_epochs=1", *(["optimizer.lr=1e30"] if ends == "refused" else [])]

    def train(number: int) -> None:
        folder = RunFolder(tmp_path / str(number) / "run")
        with pytest.raises(ConfigError) if ends == "refused" else nullcontext():
            trained(folder, observer, *overrides, tracked=Tracked())

    train(0)  # what is opened once
    gc.collect()
    gc.disable()
    try:
        before = open_files()
        for number in range(1, 8):
            train(number)
        assert open_files() == before
    finally:
        gc.enable()
