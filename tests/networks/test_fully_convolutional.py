"""Classifiers as convolutions: one pass over an image gives what each window of it gives by itself."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.networks.build import build, load_as_convolutions
from pipeline.plans.explain import notes
from pipeline.plans.network import Network
from pipeline.plans.view import Shape
from pipeline.plans.windows import cost_of_cropping, differences, grid, step
from tests.plans.models import plan_conf, plan_lists

WINDOW = (20, 24)
VALID = [
    {"conv": 4, "padding": "valid"},
    "pool",
    {"conv": 6, "stride": 2, "padding": "valid"},
]  # 20x24 to 4x5
TAIL = ["flatten", {"linear": "outputs"}]
POINTWISE = {"conv": 6, "kernel": 1}
# Classifiers without padding: layers, head, settings.
EXACT: dict[str, tuple[list[Any], list[Any], dict[str, Any]]] = {
    "a linear layer": (VALID, TAIL, {}),
    "a flattened map at the end of the layers": ([*VALID, "flatten"], [{"linear": 5}, {"linear": "outputs"}], {}),
    "batch norms": (VALID, ["flatten", {"linear": 5, "norm": "batch"}, "norm", *TAIL[1:]], {"norm": "batch"}),
    "layer norms": (VALID, ["flatten", {"linear": 5, "norm": "layer"}, {"norm": {"layer": "all"}}, *TAIL[1:]], {}),
    "repeats": ([*VALID, "flatten", {"linear": 5, "repeat": 2}], TAIL[1:], {"depth": 1.5}),
    "width": ([*VALID, "flatten", {"linear": 5}], TAIL[1:], {"width": 2.0}),
    "maxout": (VALID, ["flatten", {"linear": 5, "activation": {"maxout": 2}}, *TAIL[1:]], {}),
    "slopes": (VALID, ["flatten", {"linear": 5}, "activation", *TAIL[1:]], {"activation": "prelu"}),
    "layers of a flattened map": (VALID, ["flatten", {"dropout": 0.5}, {"activation": "tanh"}, *TAIL[1:]], {}),
    "a pool over the whole map": ([*VALID, {"pool": "global"}], TAIL, {}),
    "layer norms of the pooled": ([*VALID, {"pool": "global"}, {"norm": {"layer": "all", "eps": 0.1}},
                                   {"conv": 7, "kernel": 1, "norm": "layer"}], TAIL, {}),
    "maps of the classes": (VALID, [{"conv": "outputs", "kernel": 1}, {"pool": "global"}, "flatten"], {}),
    "a bin for each position": (VALID, [{"pool": "adaptive", "bins": [4, 5]}, *TAIL], {}),
    "blocks": ([*VALID, {"residual": [POINTWISE]}, {"branches": [[POINTWISE], ["norm"]]}], TAIL, {"norm": "batch"}),
    "an auxiliary head": ([*VALID, {"auxiliary": TAIL}, {"conv": 5, "padding": "valid"}], TAIL, {}),
    "nothing but a linear layer": ([], TAIL, {}),
}  # fmt: skip


def as_convolutions(
    layers: list[Any], head: list[Any], *, shape: Shape, window: Any, **settings: Any
) -> Network:
    """Plan a classifier as convolutions, for a larger image."""
    classifier = {"layers": layers, "head": head}
    return plan_lists([], [], shape=shape, classifier=classifier, window=window, **settings)


def build_random(network: Network) -> nn.Sequential:
    """Build a network for evaluation, with other numbers than 0 and 1 in its biases and norms."""
    built, generator = build(network, seed=0).eval().double(), torch.Generator().manual_seed(1)
    for tensor in [*built.parameters(), *(each for each in built.buffers() if each.is_floating_point())]:
        tensor.data += torch.rand(tensor.shape, generator=generator) / 10
    return built


def each_window(classifier: nn.Module, images: Tensor, sides: Shape, steps: Shape, counts: Shape) -> Tensor:
    """Return the outputs of a classifier for each window, cut out by itself: (N, K, rows, columns)."""
    (height, width), (down, across), (rows, columns) = sides, steps, counts
    outputs = [
        classifier(images[:, :, row * down : row * down + height, column * across : column * across + width])
        for row in range(rows)
        for column in range(columns)
    ]
    return torch.stack(outputs, dim=2).reshape(*outputs[0].shape, rows, columns)


@pytest.mark.parametrize("kind", EXACT)
def test_one_pass_gives_the_outputs_of_each_window(kind: str) -> None:
    layers, head, settings = EXACT[kind]
    classifier = plan_lists(layers, head, shape=(2, *WINDOW), **settings)
    network = as_convolutions(layers, head, shape=(2, 41, 53), window=[*WINDOW], **settings)
    assert differences(network) == []
    assert network.weights == classifier.weights
    alone, together = build_random(classifier), build(network, seed=1).eval().double()
    load_as_convolutions(together, alone.state_dict())
    images = torch.rand(3, *network.shape, generator=torch.Generator().manual_seed(2)).double()
    with torch.inference_mode():
        wanted = each_window(alone, images, WINDOW, step(network), grid(network))
        torch.testing.assert_close(together(images), wanted, atol=1e-9, rtol=0)
    assert grid(network) == tuple(
        (side - width) // by + 1 for side, width, by in zip((41, 53), WINDOW, step(network), strict=True)
    )


def test_an_image_of_one_window_gives_the_classifier_s_output() -> None:
    network = as_convolutions(VALID, TAIL, shape=(2, *WINDOW), window=[*WINDOW])
    assert network.output_shape == (4, 1, 1)
    assert cost_of_cropping(network) == network.multiply_adds


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([{"conv": 4}], "layers[0] conv 4, 3x3: padding is where the image ends and not where a window does"),
        ([{"conv": 4}, {"conv": 4}], "layers[0] conv 4, 3x3 and 1 more: padding is where the image ends and not"),
        ([*VALID, {"squeeze_excite": 2}], "its means are over the image and not over a window"),
        ([*VALID, {"norm": "instance"}], "its means are over the image and not over a window"),
        ([*VALID, {"norm": "layer"}], "its means are over the image and not over a window"),
        ([{"module": "torch.nn.Softmax2d"}, *VALID], "a module may see more of the image than a window"),
    ],
    ids=lambda value: str(value)[-60:],
)  # fmt: skip
def test_layers_that_see_beyond_a_window_are_named(layers: list[Any], said: str) -> None:
    network = as_convolutions(layers, TAIL, shape=(2, 41, 53), window=[*WINDOW])
    (sentence,) = differences(network)
    assert sentence.startswith("one pass differs from window by window: ")
    assert said in sentence
    classifier = plan_lists(layers, TAIL, shape=(2, *WINDOW))
    alone, together = build_random(classifier), build(network, seed=1).eval().double()
    load_as_convolutions(together, alone.state_dict())
    images = torch.rand(1, *network.shape, generator=torch.Generator().manual_seed(2)).double()
    wanted = each_window(alone, images, WINDOW, step(network), grid(network))
    if "module" not in str(layers):
        assert not torch.allclose(together(images), wanted, atol=1e-3)


def test_cost_of_both_ways_is_in_the_notes() -> None:
    network = plan_conf("model=fully_convolutional", shape=(1, 80, 80), outputs=10)
    convolutions = 76**2 * 25 * 6 + 34**2 * 150 * 16
    linear = 13**2 * (400 * 120 + 120 * 84 + 84 * 10)
    window = 28**2 * 25 * 6 + 10**2 * 150 * 16 + 400 * 120 + 120 * 84 + 84 * 10
    assert notes(network)[0] == (
        f"13x13 windows of 32x32 pixels, 4x4 apart: {convolutions + linear:,} multiply-adds in one pass, "
        f"{169 * window:,} by cropping each, 5.2 times as many"
    )


def test_one_pass_is_many_times_cheaper_than_cropping() -> None:
    """Windows of 32 pixels, 4 apart, share most of their convolutions; a pass computes each only once."""
    resnet = plan_conf(
        "model=fully_convolutional", "model@model.classifier=resnet20", shape=(3, 80, 80), outputs=10
    )
    assert (grid(resnet), step(resnet)) == ((13, 13), (4, 4))
    assert 27 < cost_of_cropping(resnet) / resnet.multiply_adds < 13**2 * 32**2 / 80**2
    assert differences(resnet)[0].startswith(
        "one pass differs from window by window: layers[0] conv 16, 3x3 and "
    )


def test_windows_that_overlap_by_half_save_as_much_as_the_area_that_they_share() -> None:
    """Four by four windows of 64 pixels cover 160 x 160 pixels: no pass saves more than 16 * 64**2 / 160**2 = 2.56."""
    halves = plan_conf("model=fully_convolutional", "model@model.classifier=resnet18", "model.window=[64,64]",
                       shape=(3, 160, 160), outputs=10)  # fmt: skip
    assert (grid(halves), step(halves)) == ((4, 4), (32, 32))
    assert 2.5 < cost_of_cropping(halves) / halves.multiply_adds < 2.56
