"""The devices of a training: in a sweep or search each one has a GPU of its own, where there are several."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.composition import CONF
from pipeline.runs.settings import TrainerSettings
from pipeline.tracking.variables import PARENT_VARIABLE
from pipeline.trainer import device_slot

DEFAULTS: dict[str, Any] = yaml.safe_load((CONF / "trainer" / "default.yaml").read_text(encoding="utf-8"))


def settings_with(**changed: Any) -> TrainerSettings:
    return TrainerSettings.of(DEFAULTS | {"accelerator": "auto", "devices": 1} | changed)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a training that is part of a sweep find two GPUs."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv(PARENT_VARIABLE, "1f0")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda"])
def test_trainings_beside_each_other_have_a_gpu_each(tmp_path: Path, accelerator: str) -> None:
    settings = settings_with(accelerator=accelerator)
    for _ in range(2):  # and it is free again afterwards
        with device_slot(settings, tmp_path) as first, device_slot(settings, tmp_path) as second:
            assert (first, second) == ([0], [1])
    with device_slot(settings, tmp_path), pytest.raises(KeyError), device_slot(settings, tmp_path):
        raise KeyError
    with device_slot(settings, tmp_path), device_slot(settings, tmp_path) as second:
        assert second == [1]


@pytest.mark.usefixtures("two_gpus")
def test_training_waits_until_a_gpu_is_free(tmp_path: Path) -> None:
    got: list[Any] = []
    is_in = threading.Event()

    def third() -> None:
        with device_slot(settings_with(), tmp_path) as devices:
            got.append(devices)
            is_in.set()

    waiting = threading.Thread(target=third)
    with device_slot(settings_with(), tmp_path) as first:
        assert first == [0]
        with device_slot(settings_with(), tmp_path):
            waiting.start()
            assert not is_in.wait(0.7)
        assert is_in.wait(5)
    waiting.join()
    assert got == [[1]]


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("changed", "devices"),
    [
        ({"devices": 2}, 2),
        ({"devices": "auto"}, "auto"),
        ({"accelerator": "cpu"}, 1),
        ({"accelerator": "mps"}, 1),
    ],
    ids=str,
)
def test_settings_that_ask_for_other_devices_pass_through(
    tmp_path: Path, changed: dict[str, Any], devices: int | str
) -> None:
    with (
        device_slot(settings_with(**changed), tmp_path) as one,
        device_slot(settings_with(**changed), tmp_path),
    ):
        assert one == devices
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("is_sweep", "num_gpus"), [(False, 2), (True, 1), (True, 0)])
def test_single_run_or_gpu_needs_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_sweep: bool, num_gpus: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
    if not is_sweep:
        monkeypatch.delenv(PARENT_VARIABLE)
    with device_slot(settings_with(), tmp_path) as one, device_slot(settings_with(), tmp_path) as other:
        assert (one, other) == (1, 1)
    assert list(tmp_path.iterdir()) == []
