"""Validation scores are those of the exported model, in whatever precision training steps are computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from tests.training.fitting import Tracked, trained


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("is_last", ["true", "false"])
def test_validation_scores_are_those_of_the_exported_model(
    precision: str, is_last: str, tmp_path: Path
) -> None:
    folder, tracked = RunFolder(tmp_path / "run"), Tracked()
    overrides = (
        f"trainer.precision={precision}",
        f"trainer.channels_last={is_last}",
        "task.label_smoothing=0.0",
    )
    trained(folder, TrainingObserver(), *overrides, "tracking.log_model=true", tracked=tracked)
    (kept,) = (row for row in folder.history() if row["epoch"] == folder.metrics()["epoch"])
    images = np.load(tmp_path / "prepared" / "val_images.npy").transpose(0, 3, 1, 2)
    targets = np.load(tmp_path / "prepared" / "val_targets.npy")
    with torch.inference_mode():
        probabilities = tracked.models[0]["model"](torch.from_numpy(images.copy())).double().numpy()
    loss = -np.log(probabilities[range(len(targets)), targets]).mean()
    assert kept["val/loss"] == pytest.approx(loss, abs=1e-6)
    assert kept["val/accuracy"] == (probabilities.argmax(axis=1) == targets).mean()
    assert probabilities.dtype == np.float64
    assert all(weight.dtype == torch.float32 for weight in tracked.models[0]["model"].parameters())
