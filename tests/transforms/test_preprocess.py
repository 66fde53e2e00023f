"""Preprocessing: each choice maps bytes to the floats that its name promises."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.declaration.composition import CONF, compose_sections
from pipeline.training.construction import construct
from pipeline.transforms.preprocess import ChannelMean, MeanImage, PerImage, Scaled, Standardize
from pipeline.transforms.statistics import Statistics, Whitening, measure
from tests.refusals import refused
from tests.transforms.photographs import photographs

BY_HAND = Statistics(
    mean=[0.2],
    deviation=[0.4],
    covariance=[[0.16]],
    pixels=30,
    mean_image=np.array([[[0.0], [0.2], [0.4]]]),
    whitening=Whitening(
        mean=np.array([0.2, 0.2, 0.2]),
        variances=np.array([0.24, 0.15, 0.03]),  # with an epsilon of 0.01, deviations of 0.5, 0.4 and 0.2
        axes=np.array([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [0.8, 0.0, -0.6]]),
    ),
)
ROOT = np.sqrt(14 / 3)
ROWS = {
    # name           what 0, 51 and 255 become that stand side by side
    "none": [0.0, 51.0, 255.0],
    "unit": [0.0, 0.2, 1.0],
    "mean_image": [0.0, 0.0, 0.6],
    "channel_mean": [-0.2, 0.0, 0.8],
    "standardize": [-0.5, 0.0, 2.0],
    "per_image": [-2 / ROOT, -1 / ROOT, 3 / ROOT],  # 51 times -2, -1 and 3 from the mean, 102
    "pca_whiten": [1.04, 0.0, -3.2],  # 0.52, 0 and -0.64 along the axes
    "zca_whiten": [-1.936, 0.0, 2.752],  # 1.04 of the first axis and -3.2 of the third
}
WHITENING = ("pca_whiten", "zca_whiten")
USES_STATISTICS = set(ROWS) - {"none", "unit", "per_image"}


def preprocess_of(name: str, statistics: Statistics) -> nn.Module:
    section: dict[str, Any] = compose_sections([f"preprocess={name}"])["preprocess"]
    made: nn.Module = construct(section, "preprocess", nn.Module, statistics=statistics)
    return made


def batch_of(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


COLOUR = photographs(40, sides=(6, 5), channels=3)
MEASURED = measure([COLOUR], patch=(6, 5))
OTHER = measure([photographs(40, sides=(6, 5), channels=3, seed=1) // 2], patch=(6, 5))
IMAGES = batch_of(COLOUR[:4])


def test_every_yaml_has_its_row() -> None:
    assert {path.stem for path in Path(CONF, "preprocess").glob("*.yaml")} == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_values_by_hand(name: str, dtype: torch.dtype) -> None:
    image = torch.tensor([0, 51, 255], dtype=dtype).view(1, 1, 1, 3)
    made = preprocess_of(name, BY_HAND)(image)
    assert (made.dtype, made.shape) == (torch.float32, (1, 1, 1, 3))
    torch.testing.assert_close(made.flatten(), torch.tensor(ROWS[name]).float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ROWS)
def test_bytes_and_floats_become_the_same(name: str) -> None:
    model = preprocess_of(name, MEASURED)
    assert torch.equal(model(IMAGES), model(IMAGES.float()))


@pytest.mark.parametrize("name", ROWS)
def test_image_does_not_depend_on_the_others_of_its_batch(name: str) -> None:
    model = preprocess_of(name, MEASURED)
    alone = torch.cat([model(image[None]) for image in IMAGES])
    torch.testing.assert_close(alone, model(IMAGES), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ROWS)
def test_statistics_are_saved_with_the_model_and_nothing_is_learnt(name: str) -> None:
    model, other = preprocess_of(name, MEASURED), preprocess_of(name, OTHER)
    assert torch.equal(other(IMAGES), model(IMAGES)) == (name not in USES_STATISTICS)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(IMAGES), model(IMAGES))
    assert not list(model.parameters())


@pytest.mark.parametrize("name", ROWS)
def test_export_gives_the_same_numbers(name: str) -> None:
    model = preprocess_of(name, MEASURED).eval()
    exported = torch.export.export(model, (IMAGES,)).module()
    torch.testing.assert_close(exported(IMAGES), model(IMAGES), rtol=0, atol=0)


@pytest.mark.parametrize("name", ROWS)
def test_half_precision_around_it_changes_nothing(name: str) -> None:
    model = preprocess_of(name, MEASURED)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(IMAGES)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, model(IMAGES), rtol=1e-5, atol=1e-5)


def test_training_split_becomes_mean_0_and_deviation_1() -> None:
    random = np.random.default_rng(0)
    images = random.normal([30, 128, 220], [2, 20, 10], (40, 9, 7, 3)).clip(0, 255).astype(np.uint8)
    standard = Standardize(measure([images], patch=None))(batch_of(images)).double()
    torch.testing.assert_close(standard.mean(dim=(0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-5)
    spread = standard.std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(spread, torch.ones(3).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("made", "axes"), [(MeanImage, (0,)), (ChannelMean, (0, 2, 3))])
@pytest.mark.parametrize("scale", [255.0, 1.0])
def test_training_split_becomes_mean_0_and_keeps_its_contrast(
    made: type[MeanImage], axes: tuple[int, ...], scale: float
) -> None:
    images = batch_of(COLOUR)
    centred = made(MEASURED, scale=scale)(images)
    means = centred.mean(dim=axes)
    torch.testing.assert_close(means, torch.zeros_like(means), rtol=0, atol=2e-5 * scale)
    contrast = (images[0].float() - images[1].float()) * scale / 255
    torch.testing.assert_close(centred[0] - centred[1], contrast, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("sides", [(6, 4), (5, 5), (1, 1)])
def test_mean_image_is_not_subtracted_from_other_sides(sides: tuple[int, int]) -> None:
    text = (
        "preprocess: the mean image has 6 x 5 pixels and cannot be subtracted from crops of another size, "
        f"got {sides}; use preprocess=channel_mean"
    )
    crops = IMAGES[..., : sides[0], : sides[1]]
    with refused("preprocess", got=sides, hint="preprocess=channel_mean", text=text):
        MeanImage(MEASURED, scale=255.0)(crops)
    assert ChannelMean(MEASURED, scale=255.0)(crops).shape == crops.shape


@pytest.mark.parametrize("made", [MeanImage, ChannelMean, Scaled])
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_scale_must_be_above_0(made: type[MeanImage | Scaled], scale: float) -> None:
    text = f"preprocess.scale must be above 0, got {scale}; 1 and 255 are usual"
    with refused("preprocess.scale", allowed="above 0", hint="1 and 255", text=text):
        made(MEASURED, scale=scale)


def test_each_image_gets_mean_0_and_deviation_1() -> None:
    values = PerImage(MEASURED)(IMAGES).double().flatten(1)
    torch.testing.assert_close(values.mean(dim=1), torch.zeros(4).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(values.std(dim=1, correction=0), torch.ones(4).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("contrast", "brightness"), [(1.0, 40.0), (0.3, 0.0), (0.5, 100.0)])
def test_change_of_brightness_and_contrast_is_undone(contrast: float, brightness: float) -> None:
    model = PerImage(MEASURED)
    torch.testing.assert_close(model(IMAGES * contrast + brightness), model(IMAGES), rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0, 3, 255])
def test_flat_image_becomes_0(value: int) -> None:
    assert not PerImage(MEASURED)(torch.full((2, 3, 6, 5), value, dtype=torch.uint8)).any()


def test_deviation_counts_as_a_grey_level_over_the_root_of_the_values_at_least() -> None:
    image = torch.tensor([0, 0, 0, 1], dtype=torch.uint8).view(1, 1, 2, 2)  # of deviation 0.43, below 0.5
    assert PerImage(MEASURED)(image).flatten().tolist() == [-0.5, -0.5, -0.5, 1.5]


@pytest.mark.parametrize("value", [0, 3, 7, 255])
def test_constant_channel_is_refused_with_the_way_out(value: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 7, 1, 3), dtype=np.uint8)
    images[..., 1] = value
    statistics = measure([images], patch=None)
    text = (
        "preprocess: channel 1 is constant over the training images, so standardize would divide by zero; "
        "use preprocess=unit"
    )
    with refused("preprocess", hint="preprocess=unit", text=text):
        Standardize(statistics)
    Scaled(statistics, scale=1.0)
