"""Errors of features against plain formulas, and the levels of loss networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.declaration.composition import compose_sections
from pipeline.networks.build import build
from pipeline.tasks.features import LossNetwork, gram, match_colours, relative_error, variation
from pipeline.tasks.loss_network import check_loss_network, plan_loss_network
from tests.refusals import refused
from tests.tasks.style_files import TINY, write_weights

PATH = "task.loss_network"
RANDOM = np.random.default_rng(0)


def test_gram_is_the_mean_product_of_two_channels() -> None:
    features = RANDOM.normal(size=(2, 3, 4, 5))
    wanted = np.zeros((2, 3, 3))
    for image in range(2):
        for one in range(3):
            for other in range(3):
                wanted[image, one, other] = (features[image, one] * features[image, other]).mean()
    np.testing.assert_allclose(gram(torch.from_numpy(features)).numpy(), wanted)


def test_error_is_the_weighted_mean_of_squares_relative_to_what_is_wanted() -> None:
    found = [RANDOM.normal(size=(2, 3, 4)), RANDOM.normal(size=(2, 5))]
    wanted = [RANDOM.normal(size=(2, 3, 4)), RANDOM.normal(size=(1, 5))]
    weights = [1.0, 3.0]
    expected = np.zeros(2)
    for one, other, weight in zip(found, wanted, weights, strict=True):
        for image in range(2):
            target = other[min(image, len(other) - 1)]
            expected[image] += weight * ((one[image] - target) ** 2).sum() / (target**2).sum() / sum(weights)
    tensors = [list(map(torch.from_numpy, each)) for each in (found, wanted)]
    np.testing.assert_allclose(relative_error(*tensors, weights).numpy(), expected)
    only = relative_error(*tensors, [0.0, 2.0]).numpy()
    np.testing.assert_allclose(only, ((found[1] - wanted[1]) ** 2).sum(1) / (wanted[1] ** 2).sum())


def test_error_does_not_depend_on_the_scale_of_features() -> None:
    found, wanted = torch.rand(1, 4, 3, 3), torch.rand(1, 4, 3, 3)
    for factor in (1e-3, 1e3):
        errors = [
            relative_error([gram(scale * found)], [gram(scale * wanted)], [1.0]) for scale in (1.0, factor)
        ]
        torch.testing.assert_close(*errors)


def test_variation_is_the_mean_square_of_steps_down_and_to_the_right() -> None:
    image = RANDOM.uniform(0, 255, size=(1, 2, 3, 4))
    down = np.square((image[..., 1:, :] - image[..., :-1, :]) / 255).mean()
    right = np.square((image[..., 1:] - image[..., :-1]) / 255).mean()
    assert variation(torch.from_numpy(image)).item() == pytest.approx(down + right)
    assert variation(torch.full((1, 3, 5, 5), 9.0)).item() == 0


def test_colours_get_the_mean_and_the_covariance_of_the_content() -> None:
    mixing = RANDOM.normal(size=(3, 3))
    content = torch.from_numpy(120 + 8 * np.tensordot(mixing, RANDOM.normal(size=(3, 20, 20)), 1))
    style = torch.from_numpy(RANDOM.uniform(60, 200, size=(3, 16, 24)))
    moved = match_colours(style, content).flatten(1)
    torch.testing.assert_close(moved.mean(1), content.flatten(1).mean(1))
    torch.testing.assert_close(torch.cov(moved), torch.cov(content.flatten(1)))
    grey = torch.full((3, 4, 4), 100.0)
    torch.testing.assert_close(match_colours(style.float(), grey), grey[:, :1, :1].expand(3, 16, 24))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "vgg16"])
def test_levels_are_those_at_which_the_maps_get_smaller(name: str) -> None:
    section = compose_sections(["task=style", f"task/loss_network={name}"])["task"]["loss_network"]
    network = plan_loss_network(section, PATH)
    check_loss_network(section, PATH)
    ends = [network.layers[place].shape for place in network.level_ends()]
    assert (
        ends
        == {
            "efficientnet_lite0": [(96, 112, 112), (144, 56, 56), (240, 28, 28), (672, 14, 14), (1280, 7, 7)],
            "vgg16": [
                (64, 224, 224),
                (128, 112, 112),
                (256, 56, 56),
                (512, 28, 28),
                (512, 14, 14),
                (512, 7, 7),
            ],
        }[name]
    )


def test_features_are_those_of_the_network_and_its_colours_may_be_reversed(tmp_path: Path) -> None:
    settings = write_weights(tmp_path / "weights.pt")
    network = build(plan_loss_network(settings, PATH), seed=3)
    network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    images = torch.randint(0, 256, (2, 3, 8, 12)).float()
    normal = (images - torch.tensor([100.0, 110, 120]).view(3, 1, 1)) / torch.tensor([60.0, 70, 80]).view(
        3, 1, 1
    )
    for order, seen in (("rgb", normal), ("bgr", normal.flip(1))):
        found = LossNetwork({**settings, "order": order}, PATH)(images)
        layers = network.get_submodule("layers")
        wanted = [layers[0](seen), layers(seen)]  # type: ignore[index, operator]
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other)
    grey = images[:, :1]
    expanded = LossNetwork(settings, PATH)(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(LossNetwork(settings, PATH)(grey), expanded)


def test_loss_network_is_frozen_and_evaluates(tmp_path: Path) -> None:
    network = LossNetwork(write_weights(tmp_path / "weights.pt"), PATH)
    assert not any(each.requires_grad for each in network.parameters())
    assert not any(module.training for module in network.modules())


def test_weights_of_other_shapes_are_refused_by_layer(tmp_path: Path) -> None:
    settings = write_weights(tmp_path / "weights.pt")
    other = {
        **settings,
        "model": {**TINY, "layers": [{"conv": 4, "kernel": 1}, "pool", {"conv": 9, "kernel": 1}]},
    }
    with refused(
        f"{PATH}.pretrained", got=settings["pretrained"], hint="choose the network that it was trained with"
    ):
        LossNetwork(other, PATH)


MISTAKES: list[tuple[dict[str, Any], str, Any]] = [
    ({"levels": [1]}, "levels", "levels"),
    ({"order": "grb"}, "order", "grb"),
    ({"mean": [1.0, 2.0]}, "mean", [1.0, 2.0]),
    ({"mean": [1.0, 2.0, 256.0]}, "mean[2]", 256.0),
    ({"deviation": [1.0, 0.0, 2.0]}, "deviation[1]", 0.0),
    ({"style_levels": [0.0, 0.0]}, "style_levels", [0.0, 0.0]),
    ({"style_levels": []}, "style_levels", []),
    ({"style_levels": {"conv1": 1.0}}, "style_levels", {"conv1": 1.0}),
    ({"content_levels": [1.0, 1.0, 1.0]}, "content_levels", [1.0, 1.0, 1.0]),
    ({"content_levels": [1.0, -1.0]}, "content_levels[1]", -1.0),
    ({"model": "vgg16"}, "model", "vgg16"),
    ({"model": {**TINY, "pretrained": "a.pt"}}, "model.pretrained", "a.pt"),
    ({"model": {**TINY, "freeze": 1}}, "model.freeze", 1),
    ({"model": {**TINY, "width": 0}}, "model.width", 0),
]


@pytest.mark.parametrize(("changes", "place", "got"), MISTAKES)
def test_settings_that_make_no_loss_network_are_refused(
    changes: dict[str, Any], place: str, got: Any, tmp_path: Path
) -> None:
    settings = {**write_weights(tmp_path / "weights.pt"), **changes}
    with refused(f"{PATH}.{place}", got=got):
        check_loss_network(settings, PATH)


def test_setting_that_is_missing_is_named(tmp_path: Path) -> None:
    settings = write_weights(tmp_path / "weights.pt")
    del settings["order"]
    with refused(f"{PATH}.order", hint="choose another task/loss_network="):
        check_loss_network(settings, PATH)
