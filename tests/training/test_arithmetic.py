"""Arithmetic: as many threads as declared compute a run, whatever the environment says, and no TF32."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning_fabric.utilities.distributed import _set_num_threads_if_needed
from threadpoolctl import threadpool_info

from pipeline.declaration.composition import compose
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.construction import build_augmentation
from pipeline.transforms.statistics import Statistics
from tests.training.fitting import trained

SETTINGS = compose([]).trainer


def blas() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_torch_and_blas_use_the_declared_arithmetic_and_afterwards_what_they_used_before() -> None:
    before = (torch.get_num_threads(), blas(), os.environ.get("OMP_NUM_THREADS"))
    assert before[1], "numpy has a BLAS"
    with declared_arithmetic(replace(SETTINGS, threads=3)):
        assert torch.get_num_threads() == 3
        assert set(blas()) == {3}
        assert os.environ["OMP_NUM_THREADS"] == "3", "for processes that are started"
        _set_num_threads_if_needed(num_processes=2)  # by Lightning, for each of several processes
        assert torch.get_num_threads() == 3
    assert (torch.get_num_threads(), blas(), os.environ.get("OMP_NUM_THREADS")) == before


@pytest.mark.parametrize("before", [True, False])
def test_convolutions_are_of_single_precision_inside_and_afterwards_of_what_they_were_before(
    before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with declared_arithmetic(SETTINGS):
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_a_convolution_as_the_cpu_does() -> None:
    torch.manual_seed(0)
    conv, images = torch.nn.Conv2d(64, 64, 3), torch.randn(8, 64, 32, 32)
    expected = conv(images)
    with declared_arithmetic(SETTINGS):
        torch.testing.assert_close(conv.cuda()(images.cuda()).cpu(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variable", ["1", "2", None])
def test_training_uses_the_declared_arithmetic(
    variable: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    seen: list[int] = []

    def look(history: Any) -> bool:
        seen.append(torch.get_num_threads())
        return False

    observer = TrainingObserver(log_artifacts=False, should_stop=look)
    trained(RunFolder(tmp_path / "run"), observer, "trainer.threads=3", "trainer.max_epochs=1")
    assert set(seen) == {3}


@pytest.mark.parametrize("recipe", ["alexnet", "color_jitter", "heavy", "resized_crop", "warp"])
def test_draws_do_not_depend_on_the_threads_of_opencv(recipe: str) -> None:
    """Measured for every recipe on 2026-11-26; OpenCV shares an image of this size among its threads."""
    rng = np.random.default_rng(0)
    image, shape = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8), "[3,512,512]"
    sections = [f"data.shape={shape}", "data.mirror_changes_label=false", "model=resnet18"]
    statistics = Statistics(
        mean=[0.5] * 3,
        deviation=[0.2] * 3,
        covariance=[[0.04, 0.0, 0.0], [0.0, 0.04, 0.0], [0.0, 0.0, 0.04]],
        pixels=1,
        mean_image=np.full((512, 512, 3), 0.5),
    )
    augmentation = build_augmentation(compose([f"augmentation={recipe}", *sections]), statistics)
    assert augmentation is not None
    before, drawn = cv2.getNumThreads(), {}
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            drawn[threads] = [augmentation(image, image[..., 0] // 128, seed=seed) for seed in range(4)]
    finally:
        cv2.setNumThreads(before)
    for threads in (2, 4):
        for one, other in zip(drawn[1], drawn[threads], strict=True):
            np.testing.assert_array_equal(one.image, other.image)
            np.testing.assert_array_equal(one.mask, other.mask)
