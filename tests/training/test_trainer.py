"""The trainer: a GPU for each training of a sweep, checkpoints, and a process left as it was."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning.callbacks import EarlyStopping

from pipeline.declaration.composition import CONF
from pipeline.declaration.settings import TrainerSettings
from pipeline.runs.folder import RunFolder
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.trainer import device_slot, make_trainer, process_restored
from tests.refusals import refused

DEFAULTS: dict[str, Any] = yaml.safe_load((CONF / "trainer" / "default.yaml").read_text(encoding="utf-8"))


def settings_with(**changed: Any) -> TrainerSettings:
    return TrainerSettings(**DEFAULTS | {"accelerator": "auto", "devices": 1} | changed)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a training find two GPUs."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def child_slot(settings: TrainerSettings, slots: Path) -> AbstractContextManager[Any]:
    """Return the slot of a training that is part of a sweep."""
    return device_slot(settings, slots, is_child=True)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda"])
def test_trainings_beside_each_other_have_a_gpu_each(tmp_path: Path, accelerator: str) -> None:
    settings = settings_with(accelerator=accelerator)
    for _ in range(2):  # and it is free again afterwards
        with child_slot(settings, tmp_path) as first, child_slot(settings, tmp_path) as second:
            assert (first, second) == ([0], [1])
    with child_slot(settings, tmp_path), pytest.raises(KeyError), child_slot(settings, tmp_path):
        raise KeyError
    with child_slot(settings, tmp_path), child_slot(settings, tmp_path) as second:
        assert second == [1]


@pytest.mark.usefixtures("two_gpus")
def test_training_waits_until_a_gpu_is_free(tmp_path: Path) -> None:
    got: list[Any] = []
    is_in = threading.Event()

    def third() -> None:
        with child_slot(settings_with(), tmp_path) as devices:
            got.append(devices)
            is_in.set()

    waiting = threading.Thread(target=third)
    with child_slot(settings_with(), tmp_path) as first:
        assert first == [0]
        with child_slot(settings_with(), tmp_path):
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
        child_slot(settings_with(**changed), tmp_path) as one,
        child_slot(settings_with(**changed), tmp_path),
    ):
        assert one == devices
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("is_child", "num_gpus"), [(False, 2), (True, 1), (True, 0)])
def test_single_run_or_gpu_needs_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_child: bool, num_gpus: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
    with (
        device_slot(settings_with(), tmp_path, is_child=is_child) as one,
        device_slot(settings_with(), tmp_path, is_child=is_child) as other,
    ):
        assert (one, other) == (1, 1)
    assert list(tmp_path.iterdir()) == []


# What is switched for the whole process.


@pytest.mark.parametrize("fills", [True, False])
def test_new_memory_is_filled_again_after_a_training(fills: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    memory: Any = torch.utils.deterministic
    monkeypatch.setattr(memory, "fill_uninitialized_memory", fills)
    with process_restored():
        assert not memory.fill_uninitialized_memory
    assert memory.fill_uninitialized_memory is fills


# Checkpoints.


class Saves:
    """A trainer that notes what it is told to save."""

    def __init__(self) -> None:
        self.callback_metrics: dict[str, torch.Tensor] = {}
        self.saved: list[tuple[str, bool]] = []

    def save_checkpoint(self, path: Path, *, weights_only: bool = False) -> None:
        self.saved.append((path.name, weights_only))


def bests(scores: list[float], checkpoints: Checkpoints, losses: Sequence[float] = ()) -> list[int]:
    """Return the epochs whose weights are kept as the best so far; `last` is to be saved after each epoch."""
    kept = []
    for epoch, (score, loss) in enumerate(zip(scores, losses or [0.5] * len(scores), strict=True)):
        trainer: Any = Saves()
        trainer.callback_metrics |= {"val/accuracy": torch.tensor(score), "val/loss": torch.tensor(loss)}
        checkpoints.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
        assert trainer.saved[-1] == ("last.ckpt", False)
        assert trainer.saved[:-1] in ([], [("best.ckpt", True)])
        kept += [epoch] * (len(trainer.saved) - 1)
    return kept


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.5, 0.4, 0.6, 0.6, 0.7], [0, 2, 4]),
        ([0.0, float("nan"), 0.1], [0, 2]),
        ([float("nan"), float("nan"), -3.0], [0, 2]),
    ],
    ids=["better", "undefined between", "undefined at first"],
)
@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_first_epoch_and_each_better_one_is_kept(
    tmp_path: Path, scores: list[float], kept: list[int], mode: str, sign: int
) -> None:
    checkpoints = Checkpoints(RunFolder(tmp_path), monitor="val/accuracy", mode=mode)
    assert bests([sign * score for score in scores], checkpoints) == kept


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_of_equal_scores_the_epoch_of_the_lower_loss_is_kept(tmp_path: Path, mode: str, sign: int) -> None:
    checkpoints = Checkpoints(RunFolder(tmp_path), monitor="val/accuracy", mode=mode)
    scores = [sign * score for score in (0.5, 0.5, 0.5, 0.4, 0.5)]
    assert bests(scores, checkpoints, losses=[0.3, 0.4, 0.2, 0.1, 0.2]) == [0, 2]


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_best_score_is_remembered_from_one_process_to_the_next(tmp_path: Path, mode: str, sign: int) -> None:
    before, after = (
        Checkpoints(RunFolder(tmp_path / name), monitor="val/accuracy", mode=mode)
        for name in ("here", "moved")
    )
    bests([sign * 0.5, sign * 0.7], before)
    after.load_state_dict(before.state_dict())
    assert bests([sign * 0.6, sign * 0.7, sign * 0.8], after) == [2]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_best_epoch_and_patience_follow_the_same_score_in_the_same_mode(tmp_path: Path, mode: str) -> None:
    settings = settings_with(accelerator="cpu", early_stopping={"patience": 5, "min_delta": 0.0})
    trainer = make_trainer(settings, RunFolder(tmp_path), monitor="val/error", mode=mode, devices=1)
    (stopping,) = (each for each in trainer.callbacks if isinstance(each, EarlyStopping))
    (checkpoints,) = (each for each in trainer.callbacks if isinstance(each, Checkpoints))
    assert (stopping.monitor, stopping.mode, stopping.patience) == ("val/error", mode, 5)
    assert (checkpoints.monitor, checkpoints.sign) == ("val/error", {"max": 1, "min": -1}[mode])


def test_settings_that_lightning_refuses_are_named(tmp_path: Path) -> None:
    settings = settings_with(accelerator="cpu", strategy="fsdp")
    with refused("trainer", hint="correct them") as caught:
        make_trainer(settings, RunFolder(tmp_path), monitor="val/accuracy", mode="max", devices=1)
    assert caught.value.problem.startswith("Lightning refuses its settings: ")


def test_process_that_would_train_alone_beside_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "RANK": "1",
        "LOCAL_RANK": "1",
        "TORCHELASTIC_RUN_ID": "none",
        "WORLD_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    settings = settings_with(accelerator="cpu")
    hint = "set trainer.devices to the number of processes and trainer.strategy=ddp, or start one process"
    text = (
        "trainer.devices: the launcher started several processes, and these settings train in one, got 1; "
        + hint
    )
    with refused("trainer.devices", got=1, hint=hint, text=text):
        make_trainer(settings, RunFolder(tmp_path), monitor="val/score", mode="max", devices=1)
