"""Colour weights for grey images: the first filters are summed, so that a grey image counts as three equal channels."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.networks.build import build
from pipeline.training.assemble import build_model, get_network, load_pretrained
from pipeline.transfer.matching import load_matching
from pipeline.transforms.statistics import measure
from tests.plans.models import plan_conf

SIDE = 32


def declared(channels: int, *overrides: str, seed: int = 0) -> Declaration:
    shape = f"data.shape=[{channels},{SIDE},{SIDE}]"
    return compose(["model=resnet20", "model.width=0.5", shape, f"seed={seed}", *overrides])


def without_summed(tensors: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tensors.items() if key != next(iter(tensors))}


def test_grey_image_gets_the_outputs_of_three_equal_channels_normalisation_included(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 1), np.uint8)
    colour = np.repeat(grey, 3, axis=3)
    theirs = build_model(declared(3, seed=1), measure([colour], patch=None))
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    declaration = declared(1, f"model.pretrained={tmp_path / 'weights.pt'}")
    ours = build_model(declaration, measure([grey], patch=None))
    account = load_pretrained(declaration, ours)
    assert account is not None
    assert account.kept == []
    assert account.summed is not None
    assert "filters summed over 3 channels, as images here are grey" in str(account)
    inputs = [torch.from_numpy(images).permute(0, 3, 1, 2) for images in (grey, colour)]
    with torch.inference_mode():
        expected = theirs.eval()(inputs[1])
        torch.testing.assert_close(ours.eval()(inputs[0]), expected, rtol=1e-4, atol=1e-5)
    assert expected.std(dim=0).min() > 0, "outputs differ between images"


def test_all_other_layers_are_loaded_as_they_are() -> None:
    theirs = build(plan_conf("model=resnet20", shape=(3, SIDE, SIDE), outputs=10), seed=1)
    ours = build(plan_conf("model=resnet20", shape=(1, SIDE, SIDE), outputs=10), seed=2)
    load_matching(ours, theirs.state_dict(), source="x", is_grey=True)
    torch.testing.assert_close(without_summed(ours.state_dict()), without_summed(theirs.state_dict()))
    (first, *_), (their_first, *_) = ours.parameters(), theirs.parameters()
    torch.testing.assert_close(first, their_first[:, :1] + their_first[:, 1:2] + their_first[:, 2:])


def test_filters_of_colour_images_are_not_summed_for_colour_images() -> None:
    declaration = declared(3)
    ours = get_network(build_model(declaration, measure([np.eye(3, dtype=np.uint8)[None] * 255], patch=None)))
    theirs = build(plan_conf("model=resnet20", "model.width=0.5", shape=(3, 8, 8), outputs=10), seed=1)
    assert load_matching(ours, theirs.state_dict(), source="x").summed is None


def test_filters_per_channel_are_no_filters_of_grey_images() -> None:
    """A depthwise filter has the shape of a summed one, but is not the first layer of the network."""
    ours = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(6, 6, 3, groups=6))
    before = ours[1].weight.detach().clone()
    account = load_matching(
        ours, {"stem.weight": torch.ones(6, 3, 3, 3), "stem.bias": torch.ones(6)} | tensors_of(ours[0]),
        source="x", is_grey=True,
    )  # fmt: skip
    assert account.summed is None
    assert account.matched == [("0", "stem_of_ours")]
    torch.testing.assert_close(ours[1].weight.detach(), before)


def tensors_of(layer: nn.Module) -> dict[str, torch.Tensor]:
    return {f"stem_of_ours.{name}": tensor.clone() for name, tensor in layer.state_dict().items()}


def test_checkpoint_of_grey_images_is_loaded_as_it_is() -> None:
    ours, theirs = nn.Sequential(nn.Conv2d(1, 4, 3)), nn.Sequential(nn.Conv2d(1, 4, 3))
    account = load_matching(ours, theirs.state_dict(), source="x", is_grey=True)
    assert account.summed is None
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
