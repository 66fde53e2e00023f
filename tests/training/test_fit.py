"""Fitting: what is refused before the first step, and what is left where a training is stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose
from pipeline.declaration.settings import TrainerSettings
from pipeline.errors import ConfigError
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training import fit as fitting
from pipeline.training.assemble import build_model, make_train_split
from pipeline.training.construction import build_augmentation
from pipeline.training.fit import _check_shape, _EpochReport, fit
from pipeline.transforms.statistics import measure

DENSE = ["data=brain", "task=segmentation", "model=unet_small", "data.shape=[1,32,48]"]


def step(target: str, **options: object) -> str:
    inside = ", ".join([f"_target_: {target}", *(f"{key}: {value}" for key, value in options.items())])
    return f"augmentation.steps=[{{{inside}}}]"


def check(overrides: list[str], folder: Path) -> None:
    """Check a declaration as `fit` does, on images of noise."""
    config: dict[str, Any] = compose(overrides)
    channels, rows, columns = config["data"]["shape"]
    images = np.random.default_rng(0).integers(0, 256, (4, rows, columns, channels), dtype=np.uint8)
    targets = images[..., 0] % 3 if config["data"]["name"] == "brain" else np.arange(4, dtype=np.uint8)
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_targets.npy", targets)
    statistics = measure([images], patch=None)
    train = make_train_split(config, Prepared(folder), build_augmentation(config, statistics), None)
    data = PreparedData(train, PreparedSplit(images, targets), batch_size=2, num_workers=0, seed=0)
    _check_shape(config, data, build_model(config, statistics))


def trained(folder: RunFolder, watch: TrainingObserver, *, epochs: int = 4) -> bool:
    """Fit a small network on noise; tell whether it was trained to its end."""
    overrides = ["experiment=digits_lenet5", "augmentation=none", f"trainer.max_epochs={epochs}"]
    config = compose([*overrides, "trainer.batch_size=4", "trainer.progress=false", "model.width=0.5"])
    prepared = folder.path.parent / "prepared"
    prepared.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        images = random.integers(0, 256, (8, 32, 32, 1), dtype=np.uint8)
        np.save(prepared / f"{split}_images.npy", images)
        np.save(prepared / f"{split}_targets.npy", np.arange(8, dtype=np.uint8))
    found = measure([np.load(prepared / "train_images.npy")], patch=None)
    return fit(
        config,
        folder,
        prepared=Prepared(prepared),
        statistics=found,
        copies=None,
        tracked=None,
        watch=watch,
    )


def kept_in(folder: RunFolder) -> list[dict[str, float]]:
    checkpoint = torch.load(folder.last, weights_only=True)
    assert checkpoint["epoch"] == checkpoint["history"][-1]["epoch"]
    return [{key: v for key, v in row.items() if key != "seconds"} for row in checkpoint["history"]]


def test_stopped_training_keeps_its_epoch_stays_stopped_and_can_go_on(tmp_path: Path) -> None:
    whole, parts = (RunFolder(tmp_path / name / "run") for name in ("whole", "parts"))
    assert trained(whole, TrainingObserver())
    stops = TrainingObserver(shows=False, stops=lambda history: len(history) == 2)
    assert not trained(parts, stops)
    assert kept_in(parts) == kept_in(whole)[:2]
    written = parts.last.stat().st_mtime_ns
    assert not trained(parts, stops), "it is asked again, and not trained"
    assert parts.last.stat().st_mtime_ns == written
    assert trained(parts, TrainingObserver())
    assert kept_in(parts) == kept_in(whole)
    assert not trained(parts, stops), "as one who had stopped it there"


REFUSED = [
    (
        [step("albumentations.Resize", height=16, width=24)],
        "augmentation: its steps turn images of data.shape (1, 32, 32) into (1, 16, 24), and model lenet5 takes "
        "input_shape (1, 32, 32); end with a step that restores it, or change input_shape",
    ),
    (
        [
            "model=resnet20",
            step("albumentations.Resize", height=16, width=16),
        ],  # it could, but is not tested so
        "augmentation: its steps turn images of data.shape (1, 32, 32) into (1, 16, 16), and model resnet20 takes",
    ),
    (
        [step("albumentations.ToFloat", p=1.0)],
        "augmentation: its steps turn bytes into torch.float32, which preprocess does itself; remove steps such as",
    ),
    (
        [
            *DENSE,
            step("albumentations.RandomCrop", height=30, width=30),
        ],  # halves to 15 rows, which cannot be joined
        "augmentation: its steps turn images of data.shape (1, 32, 48) into (1, 30, 30), and model unet_small takes",
    ),
    (
        [*DENSE, "preprocess=mean_image", step("albumentations.RandomCrop", height=16, width=16)],
        "preprocess: the mean image has 32 x 48 pixels and cannot be subtracted from crops of another size, "
        "got (16, 16); use preprocess=channel_mean",
    ),
    (
        [
            step(
                "albumentations.Sequential",
                transforms="[{_target_: albumentations.RandomCrop, height: 64, width: 64}]",
            )
        ],
        "augmentation: a step refuses the images of data.shape: Crop size (height, width) exceeds image dimensions",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED)
def test_augmentation_that_the_model_does_not_take_is_refused(
    overrides: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        check(overrides, tmp_path)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["augmentation=jitter"],
        ["data.shape=[1,40,40]", "input_shape=[1,32,32]", "augmentation=crop"],
        [*DENSE, step("albumentations.RandomCrop", height=16, width=16)],
    ],
    ids=["none", "jitter", "crop of a larger image", "crops of masks"],
)
def test_augmentation_that_fits_is_not(overrides: list[str], tmp_path: Path) -> None:
    check(overrides, tmp_path)


class Log:
    """A tracked run that notes how many epochs it is told of, and when."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def log_history(self, history: list[dict[str, float]]) -> None:
        self.told.append(len(history))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3.0, [1, 2, 3, 4, 5, 6]), (0.4, [3, 6]), (0.01, [])],
    ids=["long epochs", "short epochs", "tiny epochs"],
)
def test_mlflow_is_told_of_short_epochs_together(
    seconds: float, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(fitting.time, "monotonic", lambda: now[0])
    settings = TrainerSettings.of(compose(["trainer.progress=false"])["trainer"])
    log: Any = Log()
    report = _EpochReport(settings, log, TrainingObserver(), score="val/accuracy")
    history: list[dict[str, float]] = []
    for epoch in range(6):
        now[0] += seconds
        history.append({"epoch": float(epoch)})
        report(history)
    assert log.told == told
