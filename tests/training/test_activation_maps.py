"""Class activation maps, by what their papers say of them, by finite differences and on networks made by hand."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.networks.build import build
from pipeline.plans.network import Network
from pipeline.training.activation_maps import CAM, GRAD_CAM, ActivationMaps, has_maps
from tests.plans.models import plan_conf, plan_lists

CONVOLUTIONS = [{"conv": 4}, "pool", {"conv": 6, "activation": "tanh"}]
POOLED = [{"pool": "global"}, {"dropout": 0.5}, "flatten", {"linear": "outputs"}]
FLATTENED = ["pool", "flatten", {"linear": 5}, {"linear": "outputs"}]
CLASSES = torch.tensor([0, 3, 1])


class Halves(nn.Module):
    """Preprocessing for tests."""

    def forward(self, images: Tensor) -> Tensor:
        return images.double() / 255


def make(network: Network) -> tuple[ActivationMaps, nn.Module, Tensor]:
    """Return the maps of a network, its model in double precision, and three images."""
    made = build(network, seed=0).eval().double()
    model = nn.Sequential(OrderedDict(preprocess=Halves(), network=made))
    images = torch.randint(0, 256, (3, *network.shape), generator=torch.Generator().manual_seed(0)).byte()
    return ActivationMaps(model, network), model, images


def plan_small(head: list[Any], layers: list[Any] = CONVOLUTIONS) -> Network:
    return plan_lists(layers, head, shape=(2, 12, 16))


def test_mean_of_a_cam_is_the_score_of_its_class_without_the_bias() -> None:
    """Zhou et al. 2016, eq. 1: the score of a class is the sum of its map over positions."""
    maps, model, images = make(plan_small(POOLED))
    assert maps.method == CAM
    scores = model(images)[torch.arange(3), CLASSES]
    bias = model.get_parameter("network.head.3.bias")[CLASSES]
    raw = maps.raw(images, CLASSES)
    assert raw.shape == (3, 6, 8)
    torch.testing.assert_close(raw.mean(dim=(1, 2)) + bias, scores)


def test_grad_cam_weighs_channels_by_how_the_score_changes_with_their_mean() -> None:
    network = plan_small(FLATTENED)
    maps, model, images = make(network)
    assert maps.method == GRAD_CAM
    layers, head = model.get_submodule("network.layers"), model.get_submodule("network.head")
    features, step = layers(Halves()(images)), 1e-6
    weights = torch.zeros(3, 6, dtype=torch.float64)
    for channel in range(6):
        bump = torch.zeros_like(features)
        bump[:, channel] = step
        rise = (head(features + bump) - head(features - bump)) / (2 * step)
        weights[:, channel] = rise[torch.arange(3), CLASSES] / (6 * 8)
    wanted = (weights[:, :, None, None] * features).sum(dim=1).clamp(min=0)
    torch.testing.assert_close(maps.raw(images, CLASSES), wanted, atol=1e-8, rtol=1e-5)


def test_grad_cam_of_a_pooled_network_is_its_cam_where_that_is_positive() -> None:
    """Selvaraju et al. 2017, section 3.1: both are proportional, by the number of positions."""
    cam, model, images = make(plan_small(POOLED))
    grad_cam = ActivationMaps(model, plan_small(POOLED))
    grad_cam.method = GRAD_CAM
    wanted = cam.raw(images, CLASSES).clamp(min=0) / (6 * 8)
    torch.testing.assert_close(grad_cam.raw(images, CLASSES), wanted)


@pytest.mark.parametrize("head", [POOLED, FLATTENED], ids=["CAM", "Grad-CAM"])
def test_maps_have_the_size_of_the_image_and_go_from_0_to_1_without_changing_the_model(
    head: list[Any],
) -> None:
    maps, model, images = make(plan_small(head))
    before = model(images)
    with torch.inference_mode():
        made = maps(images, CLASSES)
    assert made.shape == (3, 12, 16)
    assert made.amin(dim=(1, 2)).tolist() == [0, 0, 0]
    assert set(made.amax(dim=(1, 2)).tolist()) <= {0.0, 1.0}
    assert all(weight.grad is None for weight in model.parameters())
    torch.testing.assert_close(model(images), before)


@pytest.mark.parametrize("head", [POOLED[:1] + POOLED[2:], FLATTENED], ids=["CAM", "Grad-CAM"])
def test_map_is_bright_where_the_only_thing_in_the_image_is(head: list[Any]) -> None:
    network = plan_lists([{"conv": 4, "bias": False}], head, shape=(1, 16, 16))
    maps, model, _ = make(network)
    for weight in model.parameters():
        weight.data = weight.data.abs()
    images = torch.zeros((2, 1, 16, 16), dtype=torch.uint8)
    images[0, 0, 2:5, 10:13] = 255
    images[1, 0, 10:13, 3:6] = 255
    for made, place in zip(maps(images, torch.tensor([1, 2])), ((3, 11), (11, 4)), strict=True):
        row, column = divmod(int(made.argmax()), 16)
        assert abs(row - place[0]) <= 1
        assert abs(column - place[1]) <= 1
        assert made[row, column] == 1


def test_image_of_which_nothing_speaks_for_a_class_has_an_empty_map() -> None:
    maps, _, _ = make(plan_lists([{"conv": 4, "bias": False}], FLATTENED, shape=(1, 8, 8)))
    assert maps(torch.zeros((1, 1, 8, 8), dtype=torch.uint8), torch.tensor([0])).tolist() == [[[0.0] * 8] * 8]


@pytest.mark.parametrize(
    ("name", "shape", "method", "sides"),
    [
        ("lenet5", (1, 32, 32), GRAD_CAM, (10, 10)),  # C3: C5 has one position
        ("resnet20", (3, 32, 32), CAM, (8, 8)),
        ("densenet121", (3, 64, 64), CAM, (2, 2)),
        ("vgg11", (3, 64, 64), GRAD_CAM, (4, 4)),  # before the last pool
        ("squeezenet", (3, 64, 64), GRAD_CAM, (3, 3)),  # the last convolution has a map for each class
        ("googlenet_bn", (3, 64, 64), CAM, (2, 2)),
        ("mobilenet_v3_small", (3, 64, 64), GRAD_CAM, (2, 2)),
    ],
)
def test_published_networks_have_maps_of_their_last_convolution(
    name: str, shape: Any, method: str, sides: tuple[int, int]
) -> None:
    network = plan_conf(
        f"model={name}", *(["model.width=0.25"] if name != "lenet5" else []), shape=shape, outputs=4
    )
    maps, _, images = make(network)
    assert maps.method == method
    assert maps.raw(images, CLASSES).shape[1:] == sides


def test_networks_without_maps_or_without_a_vector_of_outputs_have_none() -> None:
    assert not has_maps(plan_conf("model=mlp", shape=(1, 28, 28), outputs=4))
    assert not has_maps(plan_conf("model=unet_small", shape=(1, 32, 32), outputs=4))
    assert has_maps(plan_small(FLATTENED))
    assert not has_maps(plan_small(["flatten", {"linear": "outputs"}], layers=["pool"])), (
        "a pool has no weights"
    )
