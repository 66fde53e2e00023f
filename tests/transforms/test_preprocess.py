"""Preprocessing: each choice maps bytes to the floats that its name promises."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from pipeline.compose import CONF, composed
from pipeline.errors import ConfigError
from pipeline.transforms.preprocess import Standardize, Unit
from pipeline.transforms.statistics import Statistics, channel_statistics

ROWS = {
    # name         what 0, 51 and 255 become where the mean is 0.2 and the deviation 0.4
    "unit": [0.0, 0.2, 1.0],
    "standardize": [-0.5, 0.0, 2.0],
}


def preprocess_of(name: str, statistics: Statistics) -> nn.Module:
    section: dict[str, Any] = composed([f"preprocess={name}"])["preprocess"]
    made: nn.Module = instantiate({**section, "_partial_": True})(statistics=statistics)
    return made


def test_every_yaml_has_its_row() -> None:
    assert {path.stem for path in Path(CONF, "preprocess").glob("*.yaml")} == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_values_by_hand(name: str, dtype: torch.dtype) -> None:
    image = torch.tensor([0, 51, 255], dtype=dtype).view(3, 1, 1, 1)
    made = preprocess_of(name, Statistics([0.2], [0.4], 10))(image)
    assert made.dtype == torch.float32
    torch.testing.assert_close(made.flatten(), torch.tensor(ROWS[name]), rtol=0, atol=1e-6)


def test_training_split_becomes_mean_0_and_deviation_1() -> None:
    random = np.random.default_rng(0)
    images = random.normal([30, 128, 220], [2, 20, 10], (40, 9, 7, 3)).clip(0, 255).astype(np.uint8)
    model = Standardize(channel_statistics([images], channels=3))
    standard = model(torch.from_numpy(images).permute(0, 3, 1, 2)).double()
    torch.testing.assert_close(standard.mean(dim=(0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-5)
    spread = standard.std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(spread, torch.ones(3).double(), rtol=0, atol=1e-5)


def test_standardize_is_saved_with_the_model_and_learns_nothing() -> None:
    model = Standardize(Statistics([0.2], [0.4], 10))
    other = Standardize(Statistics([0.9], [0.1], 10))
    other.load_state_dict(model.state_dict())
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(other(image), model(image))
    assert not list(model.parameters())


@pytest.mark.parametrize("value", [0, 3, 7, 255])
def test_constant_channel_is_refused_with_the_way_out(value: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 7, 1, 3), dtype=np.uint8)
    images[..., 1] = value
    statistics = channel_statistics([images], channels=3)
    wanted = r"^preprocess: channel 1 has one value in all training images, .*; use preprocess=unit$"
    with pytest.raises(ConfigError, match=wanted):
        Standardize(statistics)
    Unit(statistics)
