"""The layer that is an image."""

from __future__ import annotations

import pytest
import torch

from tests.networks.models import build_layers, plan_layers


def test_pixels_are_one_learnt_image_whatever_the_input() -> None:
    module = build_layers({"pixels": 0.2, "mean": 0.5}, shape=(3, 40, 50))
    outputs = module(torch.rand(2, 3, 40, 50))
    assert torch.equal(outputs[0], outputs[1])
    assert outputs.mean().item() == pytest.approx(0.5, abs=0.01)
    assert outputs.std().item() == pytest.approx(0.2, abs=0.01)
    outputs[0].sum().backward()
    (weight,) = module.parameters()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones(3, 40, 50))
    assert build_layers("pixels", shape=(4, 6, 5))(torch.ones(1, 4, 6, 5)).abs().sum() == 0


def test_network_with_pixels_is_an_image_and_others_are_none() -> None:
    assert plan_layers({"residual": ["pixels"], "activation": "none"}, shape=(3, 4, 4)).is_image
    assert not plan_layers({"conv": 3}, shape=(3, 4, 4)).is_image


def test_image_added_to_the_input_starts_as_the_input() -> None:
    module, image = (
        build_layers({"residual": ["pixels"], "activation": "none"}, shape=(3, 4, 4)),
        torch.rand(2, 3, 4, 4),
    )
    assert torch.equal(module(image), image)


def test_levels_end_where_the_map_gets_smaller_and_no_later_than_the_way_down() -> None:
    down = [{"conv": 4}, {"conv": 8, "stride": 2}, {"conv": 8}, "pool"]
    assert plan_layers(*down, shape=(3, 16, 16)).level_ends() == [0, 2, 3]
    assert plan_layers(*down, {"resize": 2}, {"conv": 3}, shape=(3, 16, 16)).level_ends() == [0, 2, 3]
    assert plan_layers({"conv": 4, "stride": 2}, "flatten", shape=(3, 16, 16)).level_ends() == [0]
    assert plan_layers("flatten", shape=(3, 16, 16)).level_ends() == []
