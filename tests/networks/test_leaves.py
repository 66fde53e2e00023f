"""What single layers compute, each against its formula."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.networks.models import build_layers, layer_of, plan_layers

MAP = (4, 6, 5)
PLAIN: dict[str, Any] = {"norm": "none", "activation": "none"}


def run(layer: Any, image: Tensor, **changes: Any) -> Tensor:
    """Build one layer for an image and apply it, in evaluation."""
    output: Tensor = build_layers(layer, shape=tuple(image.shape[1:]), **changes).eval()(image)
    return output.detach()


def types_of(layer: Any, **changes: Any) -> list[type[nn.Module]]:
    """Return the classes that a layer is built from, in order."""
    made = layer_of(build_layers(layer, shape=MAP, **changes))
    return [type(each) for each in made.children()] or [type(made)]


def test_norm_follows_the_convolution_and_activation_the_norm() -> None:
    assert types_of({"conv": 8}) == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_layer_of_outputs_has_neither_norm_nor_activation() -> None:
    assert types_of({"conv": "outputs", "kernel": 1}) == [nn.Conv2d]
    assert types_of({"conv": "outputs", "activation": "tanh"}) == [nn.Conv2d, nn.Tanh]


def test_up_convolution_has_neither_norm_nor_activation_unless_asked_for() -> None:
    assert types_of({"up": 8}) == [nn.ConvTranspose2d]
    assert types_of({"up": 8, "norm": "batch"}) == [nn.ConvTranspose2d, nn.BatchNorm2d]


def test_parts_of_a_layer_win_over_those_of_the_network() -> None:
    layer = {"conv": 8, "norm": {"group": 4}, "activation": {"leaky_relu": 0.3}}
    _, norm, activation = layer_of(build_layers(layer, shape=MAP)).children()
    assert isinstance(norm, nn.GroupNorm)
    assert (norm.num_groups, norm.num_channels) == (4, 8)
    assert isinstance(activation, nn.LeakyReLU)
    assert activation.negative_slope == 0.3


@pytest.mark.parametrize(("norm", "has_bias"), [("none", True), ("batch", False), ({"layer": None}, False)])
def test_bias_stands_where_no_norm_follows(norm: Any, has_bias: bool) -> None:
    for layer in ({"conv": 8}, {"depthwise": 3}, {"up": 8, "norm": norm}):
        made = layer_of(build_layers(layer, shape=MAP, norm=norm, activation="relu"))
        filters = made if isinstance(made, nn.ConvTranspose2d) else next(made.children())
        assert (filters.bias is not None) == has_bias


@pytest.mark.parametrize(("padding", "sides"), [("same", (6, 5)), ("valid", (4, 3)), (2, (8, 7))])
def test_padding_of_the_network_holds_for_filters_that_say_none(padding: Any, sides: tuple[int, int]) -> None:
    assert plan_layers({"conv": 8}, shape=MAP, padding=padding).output_shape == (8, *sides)
    assert plan_layers({"depthwise": 3}, shape=MAP, padding=padding).output_shape == (4, *sides)
    own = plan_layers({"conv": 8, "padding": 1}, shape=MAP, padding=padding)
    assert own.output_shape == (8, 6, 5)


def test_depthwise_filter_sees_its_own_channel_only() -> None:
    image = torch.randn(1, *MAP)
    changed = image.clone()
    changed[:, 2] += 1
    layer = {"depthwise": 3, "multiplier": 2}
    moved = run(layer, image, **PLAIN) != run(layer, changed, **PLAIN)
    assert moved.flatten(2).any(dim=2)[0].tolist() == [False] * 4 + [True] * 2 + [False] * 2


def test_up_convolution_lays_a_scaled_kernel_over_each_pixel() -> None:
    module = build_layers({"up": 2}, shape=(3, 2, 2))
    image = torch.randn(1, 3, 2, 2)
    filters = layer_of(module)
    assert isinstance(filters, nn.ConvTranspose2d)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        patch = module(image)[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected = sum(image[0, c, row, column] * filters.weight[c] for c in range(3))
        torch.testing.assert_close(patch, expected)


WIRING = [[0], [0, 2], [3, 1, 0]]


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"padding": "valid"}, {"kernel": [1, 5], "bias": False}, {"dilation": [1, 2]}],
)
def test_wired_convolution_equals_a_dense_one_with_zeros(options: dict[str, Any]) -> None:
    module = build_layers({"conv": 3, "wiring": WIRING, **options}, shape=MAP, **PLAIN)
    wired = layer_of(module)
    assert isinstance(wired.weight, nn.Parameter)
    if wired.bias is not None:
        nn.init.normal_(wired.bias)
    kernel = wired.weight.shape[2:]
    dense, taken = torch.zeros(3, 4, *kernel), iter(wired.weight.detach()[:, 0])
    for filter_index, channels in enumerate(WIRING):
        for channel in channels:
            dense[filter_index, channel] = next(taken)
    dilation = tuple(options.get("dilation", (1, 1)))
    padding = 0 if options.get("padding") == "valid" else (kernel[0] // 2, kernel[1] // 2 * dilation[1])
    image = torch.randn(2, *MAP)
    settings = {"stride": options.get("stride", 1), "padding": padding, "dilation": dilation}
    expected = functional.conv2d(image, dense, wired.bias, **settings)
    torch.testing.assert_close(module(image), expected)


def windows(image: Tensor, kernel: int, stride: int) -> Tensor:
    """Return (N, C, H', W', kernel * kernel)."""
    return image.unfold(2, kernel, stride).unfold(3, kernel, stride).flatten(4)


def test_pool_takes_the_largest_or_the_mean_of_each_window() -> None:
    image = torch.randn(2, 3, 7, 6)
    torch.testing.assert_close(run("pool", image), windows(image, 2, 2).amax(dim=-1))
    layer = {"pool": "avg", "kernel": 3, "stride": 2}
    torch.testing.assert_close(run(layer, image), windows(image, 3, 2).mean(dim=-1))


def test_global_pool_is_the_mean_of_each_channel() -> None:
    image = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(run({"pool": "global"}, image)[..., 0, 0], image.mean(dim=(2, 3)))


@pytest.mark.parametrize("sides", [(6, 9), (7, 8), (1, 2)])
def test_adaptive_pool_is_the_mean_of_so_many_nearly_equal_windows(sides: tuple[int, int]) -> None:
    image, bins = torch.randn(2, 3, *sides), (2, 3)
    output = run({"pool": "adaptive", "bins": list(bins)}, image)
    for i in range(bins[0]):
        for j in range(bins[1]):
            (top, left), (bottom, right) = (
                [edge(k * n / b) for k, n, b in zip(at, sides, bins, strict=True)]
                for edge, at in ((math.floor, (i, j)), (math.ceil, (i + 1, j + 1)))
            )
            expected = image[:, :, top:bottom, left:right].mean(dim=(2, 3))
            torch.testing.assert_close(output[:, :, i, j], expected)


@pytest.mark.parametrize(
    ("layer", "n", "alpha", "beta", "k"),
    [
        ("lrn", 5, 1e-4, 0.75, 2),
        ({"lrn": 3, "alpha": 0.5, "beta": 1.5, "k": 1}, 3, 0.5, 1.5, 1),
    ],
)
def test_lrn_follows_the_formula_of_alexnet(layer: Any, n: int, alpha: float, beta: float, k: float) -> None:
    a = 20 * torch.randn(2, 8, 3, 4)
    expected = torch.empty_like(a)
    for i in range(8):  # Krizhevsky et al. 2012, section 3.3, with its own names
        squares = a[:, max(0, i - n // 2) : min(8 - 1, i + n // 2) + 1].square().sum(dim=1)
        expected[:, i] = a[:, i] / (k + alpha * squares) ** beta
    torch.testing.assert_close(run(layer, a), expected)


def test_scale_multiplies_each_channel_by_its_own_number() -> None:
    image = torch.randn(2, *MAP)
    torch.testing.assert_close(run({"scale": 0.25}, image), 0.25 * image)
    assert torch.equal(run("scale", image), image)
    module = build_layers("scale", shape=MAP)
    factors = layer_of(module).weight
    assert isinstance(factors, nn.Parameter)
    nn.init.normal_(factors)
    for channel in range(4):
        torch.testing.assert_close(module(image)[:, channel], image[:, channel] * factors[channel])


def test_resize_repeats_pixels_or_draws_lines_between_them() -> None:
    image = torch.randn(2, *MAP)
    nearest = image.repeat_interleave(2, dim=2).repeat_interleave(3, dim=3)
    assert torch.equal(run({"resize": [2, 3]}, image), nearest)
    ramp = torch.tensor([0.0, 4.0, 8.0]).view(1, 1, 1, 3)
    smooth = run({"resize": 2, "mode": "bilinear"}, ramp)
    assert smooth[0, 0, 0].tolist() == [0, 1, 3, 5, 7, 8]


def test_pixel_shuffle_puts_the_channels_of_a_pixel_side_by_side() -> None:
    image = torch.randn(2, 8, 3, 5)
    made = run({"pixel_shuffle": 2}, image)
    for channel, down, right in np.ndindex(2, 2, 2):
        assert torch.equal(made[:, channel, down::2, right::2], image[:, 4 * channel + 2 * down + right])


@pytest.mark.parametrize("kind", ["sobel", "scharr", "prewitt"])
def test_edge_of_a_ramp_is_its_slope(kind: str) -> None:
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    edges = run({"edge": kind}, torch.stack([3 * columns, 5 - 2 * rows])[None])[0, :, 1:-1, 1:-1]
    slopes = torch.tensor([3.0, 0.0, 0.0, -2.0])  # across columns and rows, of either channel
    torch.testing.assert_close(edges, slopes[:, None, None].expand(4, 4, 5))


# The authors' weights along the edge; across it stands (-1, 0, 1) over two pixels.
MASKS = {"prewitt": [1, 1, 1], "sobel": [1, 2, 1], "scharr": [3, 10, 3]}


@pytest.mark.parametrize("kind", MASKS)
def test_edge_filter_is_the_published_mask(kind: str) -> None:
    impulse = torch.zeros(1, 1, 5, 5)
    impulse[0, 0, 2, 2] = 1
    column_edge, row_edge = run({"edge": kind}, impulse)[0]
    weights = torch.tensor(MASKS[kind], dtype=torch.float)
    mask = torch.outer(weights / (2 * weights.sum()), torch.tensor([-1.0, 0.0, 1.0]))
    torch.testing.assert_close(column_edge[1:4, 1:4], mask.flip(0, 1))  # an impulse shows the mask mirrored
    torch.testing.assert_close(row_edge[1:4, 1:4], mask.T.flip(0, 1))


STEP = [[10, 10, 10, 0, 0, 0]] * 6  # bright to the left, dark to the right


@pytest.mark.parametrize(
    ("options", "row"),
    [
        ({"direction": "left"}, [0, 30, 30, 0]),  # the lecture's vertical edge, by (1, 0, -1) in each row
        ({"direction": "right"}, [0, -30, -30, 0]),
        ({"direction": "left", "scale": "unit"}, [0, 5, 5, 0]),
        ({"direction": "left", "padding": "same"}, [0, 0, 30, 30, 0, 0]),
        ({"direction": "left", "edge": "sobel"}, [0, 40, 40, 0]),
        ({"direction": "left", "edge": "scharr"}, [0, 160, 160, 0]),
    ],
    ids=str,
)
def test_edge_between_bright_and_dark(options: dict[str, Any], row: list[float]) -> None:
    layer = {"edge": "prewitt", "scale": "integer", "padding": "valid", **options}
    image = torch.tensor(STEP, dtype=torch.float)[None, None]
    sides = len(row)
    torch.testing.assert_close(run(layer, image), torch.tensor([[[row] * sides]], dtype=torch.float))
    turned = {"left": "up", "right": "down"}[options["direction"]]
    expected = torch.tensor([[[row] * sides]], dtype=torch.float).mT
    torch.testing.assert_close(run({**layer, "direction": turned}, image.mT), expected)


def test_both_directions_of_an_edge_are_right_and_down() -> None:
    image = torch.randn(2, *MAP)
    both = run({"edge": "sobel", "scale": "integer"}, image).unflatten(1, (4, 2))
    for index, direction in enumerate(("right", "down")):
        one = run({"edge": "sobel", "scale": "integer", "direction": direction}, image)
        torch.testing.assert_close(both[:, :, index], one)


def test_dilated_filter_is_one_with_zeros_between_its_weights() -> None:
    image = torch.randn(2, 4, 12, 11)
    for layer in ({"conv": 8, "stride": 2}, {"depthwise": 3}, {"conv": 8, "groups": 2, "padding": "valid"}):
        dilated = build_layers({**layer, "dilation": [2, 3]}, shape=(4, 12, 11), **PLAIN)
        wide = build_layers(
            {**layer, "kernel" if "conv" in layer else "depthwise": [5, 7]}, shape=(4, 12, 11), **PLAIN
        )
        weight, bias = (each.detach() for each in dilated.parameters())
        with torch.no_grad():
            for mine, other in zip(
                wide.parameters(), (torch.zeros(len(weight), weight.shape[1], 5, 7), bias), strict=True
            ):
                mine.copy_(other)
            next(wide.parameters())[:, :, ::2, ::3] = weight
        torch.testing.assert_close(dilated(image), wide(image))


def test_edge_learns_nothing_and_sees_none_at_the_border_of_a_flat_image() -> None:
    module = build_layers("edge", shape=MAP)
    assert list(module.parameters()) == []
    assert not module(torch.full((1, *MAP), 7.0)).any()


def test_dropout_zeroes_only_while_training() -> None:
    module = build_layers({"dropout": 0.9}, shape=(1, 50, 50))
    image = torch.ones(1, 1, 50, 50)
    assert 0.8 < float((module.train()(image) == 0).float().mean()) < 0.97
    assert torch.equal(module.eval()(image), image)


def test_drop_path_zeroes_whole_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    module = build_layers({"drop_path": 0.3}, shape=(2, 3, 4))
    output = module.train()(torch.ones(4000, 2, 3, 4)).flatten(1)
    assert (output == output[:, :1]).all(), "an image is dropped as a whole"
    torch.testing.assert_close(output.unique(), torch.tensor([0, 1 / 0.7]))
    assert float(output.mean()) == pytest.approx(1, abs=4 * math.sqrt(0.3 / 0.7 / 4000))
    images = torch.randn(8, 2, 3, 4)
    assert torch.equal(module.eval()(images), images)


def test_drop_path_of_probability_0_drops_nothing() -> None:
    images = torch.randn(8, *MAP)
    assert torch.equal(build_layers({"drop_path": 0}, shape=MAP).train()(images), images)


def test_module_is_any_class_with_the_arguments_written_beside_it() -> None:
    image = torch.randn(2, *MAP)
    layer = {"module": "torch.nn.PixelShuffle", "upscale_factor": 2}
    assert torch.equal(run(layer, image), functional.pixel_shuffle(image, 2))
    network = plan_layers(layer, {"conv": 3}, shape=MAP)
    assert network.output_shape == (3, 12, 10)
    assert [leaf.view.field for leaf in network.leaves()] == [(6, 5), (6, 5)]  # taken to see the whole image
