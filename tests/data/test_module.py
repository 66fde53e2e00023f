"""Loaders: how many processes load, on a CPU and on GPUs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.data import module
from pipeline.data.batches import PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.targets.kind import load_kind


@pytest.mark.parametrize(
    ("asked", "device", "devices", "found"),
    [(1, "cpu", 1, 1), ("auto", "cpu", 1, 0), ("auto", "cuda", 1, 1), ("auto", "cuda", 2, 0)],
)
def test_a_gpu_has_its_share_of_the_cores_to_load(
    asked: int | str, device: str, devices: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "num_threads", lambda: 2)
    split = PreparedSplit(np.zeros((3, 8, 8, 1), np.uint8), np.zeros(3, np.uint8), load_kind("label"))
    data = PreparedData(split, split, batch_size=2, num_workers=asked, seed=0, sampler="shuffle")
    strategy = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(strategy=strategy, num_devices=devices)  # type: ignore[assignment]
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert loader.num_workers == found
