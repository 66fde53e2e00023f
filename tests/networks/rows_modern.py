"""Rows of the zoo from GoogLeNet on, and the U-Nets: published weights, and sums by plain arithmetic.

Weights are those of torchvision, but for GoogLeNet (Caffe's), MobileNet and EfficientNet-Lite0 (timm's), SqueezeNet
(the paper's table 1) and the U-Nets (the sum).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from tests.networks.row import Row


@dataclass(frozen=True)
class Cost:
    weights: int
    multiply_adds: int


def add(*costs: Cost) -> Cost:
    return Cost(sum(each.weights for each in costs), sum(each.multiply_adds for each in costs))


def conv(kernel: int, channels: int, filters: int, pixels: int, extra: int = 2) -> Cost:
    """A convolution that puts out so many pixels; `extra` numbers per filter: 2 of a norm, 1 of a bias."""
    taps = kernel**2 * channels * filters
    return Cost(taps + extra * filters, taps * pixels)


def depthwise(kernel: int, channels: int, pixels: int, extra: int = 2) -> Cost:
    return conv(kernel, 1, channels, pixels, extra)


def linear(features: int, outputs: int = 1000) -> Cost:
    return conv(1, features, outputs, 1, extra=1)


def norm(channels: int) -> Cost:
    return Cost(2 * channels, 0)


# Szegedy et al. 2014, table 1: side; 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
INCEPTIONS = [
    (28, 64, 96, 128, 16, 32, 32),
    (28, 128, 128, 192, 32, 96, 64),
    (14, 192, 96, 208, 16, 48, 64),
    (14, 160, 112, 224, 24, 64, 64),
    (14, 128, 128, 256, 24, 64, 64),
    (14, 112, 144, 288, 32, 64, 64),
    (14, 256, 160, 320, 32, 128, 128),
    (7, 256, 160, 320, 32, 128, 128),
    (7, 384, 192, 384, 48, 128, 128),
]


def googlenet(*, kernel: int, extra: int) -> Cost:
    """Sum table 1; `kernel` is that of the third branch."""
    total = add(conv(7, 3, 64, 112**2, extra), conv(1, 64, 64, 56**2, extra), conv(3, 64, 192, 56**2, extra))
    channels = 192
    for side, one, reduce_three, three, reduce_five, five, pool in INCEPTIONS:
        total = add(
            total,
            conv(1, channels, one + reduce_three + reduce_five + pool, side**2, extra),
            conv(3, reduce_three, three, side**2, extra),
            conv(kernel, reduce_five, five, side**2, extra),
        )
        channels = one + three + five + pool
    return add(total, linear(channels))


def densenet(layers: tuple[int, ...], growth: int) -> Cost:
    total, channels = conv(7, 3, 64, 112**2), 64
    for side, num_layers in zip((56, 28, 14, 7), layers, strict=True):
        for _ in range(num_layers):
            total = add(total, norm(channels), conv(1, channels, 4 * growth, side**2))
            total = add(total, conv(3, 4 * growth, growth, side**2, extra=0))
            channels += growth
        if side > 7:
            total = add(total, norm(channels), conv(1, channels, channels // 2, side**2, extra=0))
            channels //= 2
    return add(total, norm(channels), linear(channels))


# Iandola et al. 2016, table 1: side; squeeze filters; expand filters of either size
FIRES = [
    (55, 16, 64),
    (55, 16, 64),
    (55, 32, 128),
    (27, 32, 128),
    (27, 48, 192),
    (27, 48, 192),
    (27, 64, 256),
]


def squeezenet() -> Cost:
    total, channels = conv(7, 3, 96, 111**2, extra=1), 96
    for side, squeeze, expand in [*FIRES, (13, 64, 256)]:
        total = add(total, conv(1, channels, squeeze, side**2, 1), conv(1, squeeze, expand, side**2, 1))
        total = add(total, conv(3, squeeze, expand, side**2, 1))
        channels = 2 * expand
    return add(total, conv(1, channels, 1000, 13**2, extra=1))


def mobilenet_v1() -> Cost:
    total, channels = conv(3, 3, 32, 112**2), 32
    sides = [112, 56, 56, 28, 28, *[14] * 6, 7, 7]
    for side, filters in zip(sides, [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024], strict=True):
        total = add(total, depthwise(3, channels, side**2), conv(1, channels, filters, side**2))
        channels = filters
    return add(total, linear(1024))


@dataclass(frozen=True)
class Block:
    """An inverted residual: kernel, hidden channels, filters, stride, squeezed channels (0: no gate)."""

    kernel: int
    hidden: int
    filters: int
    stride: int
    squeezed: int = 0

    def cost(self, channels: int, side: int) -> tuple[Cost, int]:
        """Return its cost and the side of its output, for channels and side of its input."""
        wide = Cost(0, 0) if self.hidden == channels else conv(1, channels, self.hidden, side**2)
        side = ceil(side / self.stride)
        gate = add(linear(self.hidden, self.squeezed), linear(self.squeezed, self.hidden))
        middle = add(depthwise(self.kernel, self.hidden, side**2), gate if self.squeezed else Cost(0, 0))
        return add(wide, middle, conv(1, self.hidden, self.filters, side**2)), side


def inverted_residuals(stem: int, blocks: Iterable[Block], last: int, *, side: int) -> Cost:
    """Sum the stem of stride 2, the blocks and the last 1x1 convolution, for a square image."""
    side = ceil(side / 2)
    total, channels = conv(3, 3, stem, side**2), stem
    for block in blocks:
        cost, side = block.cost(channels, side)
        total, channels = add(total, cost), block.filters
    return add(total, conv(1, channels, last, side**2))


# Sandler et al. 2018, table 2: expansion t, channels c, blocks n, stride s
V2 = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def mobilenet_v2() -> Cost:
    blocks, channels = [], 32
    for factor, filters, num_blocks, stride in V2:
        for index in range(num_blocks):
            blocks.append(Block(3, factor * channels, filters, 1 if index else stride))
            channels = filters
    return add(inverted_residuals(32, blocks, 1280, side=224), linear(1280))


# Howard et al. 2019, table 2: kernel, exp size, out, s, and the squeezed channels where SE is ticked
V3_SMALL = [
    Block(3, 16, 16, 2, 8),
    Block(3, 72, 24, 2),
    Block(3, 88, 24, 1),
    Block(5, 96, 40, 2, 24),
    Block(5, 240, 40, 1, 64),
    Block(5, 240, 40, 1, 64),
    Block(5, 120, 48, 1, 32),
    Block(5, 144, 48, 1, 40),
    Block(5, 288, 96, 2, 72),
    Block(5, 576, 96, 1, 144),
    Block(5, 576, 96, 1, 144),
]


def mobilenet_v3_small() -> Cost:
    return add(inverted_residuals(16, V3_SMALL, 576, side=224), linear(576, 1024), linear(1024))


# Tan and Le 2019, table 1: expansion, kernel, channels, layers, stride
B0 = [
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
]


def to_eights(number: float) -> int:
    """The nearest multiple of 8, halves upwards, but never less than nine tenths of the number."""
    nearest = 8 * max(1, int(number / 8 + 0.5))
    return nearest + 8 * (nearest < 0.9 * number)


def efficientnet(width: float, depth: float, side: int, *, is_squeezed: bool = True) -> Cost:
    stem, last = to_eights(32 * width), to_eights(1280 * width)
    blocks, channels = [], stem
    for factor, kernel, filters, layers, stride in B0:
        for index in range(ceil(layers * depth)):
            squeezed = channels // 4 if is_squeezed else 0
            step, wide = 1 if index else stride, to_eights(filters * width)
            blocks.append(Block(kernel, factor * channels, wide, step, squeezed))
            channels = wide
    return add(inverted_residuals(stem, blocks, last, side=side), linear(last))


def convnext(layers: tuple[int, ...], widths: tuple[int, ...]) -> Cost:
    total, before = add(conv(4, 3, widths[0], 56**2, extra=1), norm(widths[0])), 0
    for side, num_layers, width in zip((56, 28, 14, 7), layers, widths, strict=True):
        if before:
            total = add(total, norm(before), conv(2, before, width, side**2, extra=1))
        wide, narrow = conv(1, width, 4 * width, side**2, 1), conv(1, 4 * width, width, side**2, 1)
        scale = Cost(width, 0)
        total = add(total, *[depthwise(7, width, side**2, extra=3), wide, narrow, scale] * num_layers)
        before = width
    return add(total, norm(before), linear(before))


def rise(below: int, width: int, beside: int, pixels: int, extra: int) -> Cost:
    """A level of the way up: up-convolution with bias, concatenated with the skip, two convolutions."""
    # 2x2 taps for each pixel of the level below, of which there are a quarter.
    up = conv(2, below, width, pixels // 4, extra=1)
    return add(up, conv(3, beside + width, width, pixels, extra), conv(3, width, width, pixels, extra))


def unet(widths: tuple[int, ...], outputs: int, *, pixels: int, extra: int) -> Cost:
    """A U-Net on one channel; `widths` are the filters of its levels, from the top down."""
    total = conv(1, widths[0], outputs, pixels, extra=1)
    for level, (above, width) in enumerate(pairwise([1, *widths])):
        area = pixels // 4**level
        total = add(total, conv(3, above, width, area, extra), conv(3, width, width, area, extra))
    for level, (above, width) in enumerate(pairwise(widths)):
        total = add(total, rise(width, above, above, pixels // 4**level, extra))
    return total


def unet_on_resnet18(side: int, outputs: int) -> Cost:
    """Channels 3, 64, 64, 128, 256, 512 at six resolutions; the way up halves 512 to 16."""
    total = conv(7, 3, 64, (side // 2) ** 2)
    for level, (before, width) in enumerate(pairwise((64, 64, 128, 256, 512)), start=2):
        pixels = (side // 2**level) ** 2
        same, projected = conv(3, width, width, pixels), conv(1, before, width, pixels)
        total = add(total, conv(3, before, width, pixels), same, same, same)
        total = add(total, projected) if before < width else total
    below = 512
    for level, beside in ((4, 256), (3, 128), (2, 64), (1, 64), (0, 3)):
        total = add(total, rise(below, below // 2, beside, (side // 2**level) ** 2, extra=2))
        below //= 2
    return add(total, conv(1, below, outputs, side**2, extra=1))


def row(name: str, shape: tuple[int, int, int], outputs: int, weights: int, cost: Cost) -> Row:
    """A row whose weights are known from elsewhere; the sum by hand has to give them too."""
    assert cost.weights == weights, f"{name}: {cost.weights:,} by hand, {weights:,} in the row"
    return Row(name, shape, outputs, weights, cost.multiply_adds)


UNET_WIDTHS, SMALL_WIDTHS = (64, 128, 256, 512, 1024), (16, 32, 64)
UNET = unet(UNET_WIDTHS, 2, pixels=96 * 96, extra=1)
UNET_SMALL = unet(SMALL_WIDTHS, 3, pixels=96 * 64, extra=2)
UNET_ON = unet_on_resnet18(96, 3)
CONVNEXT_TINY = convnext((3, 3, 9, 3), (96, 192, 384, 768))
LITE0 = efficientnet(1.0, 1.0, 224, is_squeezed=False)

MODERN: list[Row] = [
    #   name                  image (C, H, W)  outputs  weights     sum by hand; multiply-adds in the paper
    row("googlenet",          (3, 224, 224),   1000,    6_998_552,  googlenet(kernel=5, extra=1)),  # 1.5 G
    row("googlenet_bn",       (3, 224, 224),   1000,    6_624_904,  googlenet(kernel=3, extra=2)),
    row("densenet121",        (3, 224, 224),   1000,    7_978_856,  densenet((6, 12, 24, 16), 32)),
    row("squeezenet",         (3, 224, 224),   1000,    1_248_424,  squeezenet()),
    row("mobilenet_v1",       (3, 224, 224),   1000,    4_231_976,  mobilenet_v1()),  # 569 M
    row("mobilenet_v2",       (3, 224, 224),   1000,    3_504_872,  mobilenet_v2()),  # 300 M
    row("mobilenet_v3_small", (3, 224, 224),   1000,    2_542_856,  mobilenet_v3_small()),  # 56 M
    row("efficientnet_b0",    (3, 224, 224),   1000,    5_288_548,  efficientnet(1.0, 1.0, 224)),  # 0.39 G
    row("efficientnet_b1",    (3, 240, 240),   1000,    7_794_184,  efficientnet(1.0, 1.1, 240)),  # 0.70 G
    row("efficientnet_b2",    (3, 260, 260),   1000,    9_109_994,  efficientnet(1.1, 1.2, 260)),  # 1.0 G
    row("efficientnet_b3",    (3, 300, 300),   1000,    12_233_232, efficientnet(1.2, 1.4, 300)),  # 1.8 G
    row("efficientnet_b4",    (3, 380, 380),   1000,    19_341_616, efficientnet(1.4, 1.8, 380)),  # 4.2 G
    row("efficientnet_b5",    (3, 456, 456),   1000,    30_389_784, efficientnet(1.6, 2.2, 456)),  # 9.9 G
    row("efficientnet_b6",    (3, 528, 528),   1000,    43_040_704, efficientnet(1.8, 2.6, 528)),  # 19 G
    row("efficientnet_b7",    (3, 600, 600),   1000,    66_347_960, efficientnet(2.0, 3.1, 600)),  # 37 G
    row("efficientnet_lite0", (3, 224, 224),   1000,    4_652_008,  LITE0),
    row("convnext_tiny",      (3, 224, 224),   1000,    28_589_128, CONVNEXT_TINY),  # 4.5 G
    row("unet",               (1, 96, 96),     2,       31_030_658, UNET),
    row("unet_small",         (1, 96, 64),     3,       UNET_SMALL.weights, UNET_SMALL),
    row("unet_on",            (3, 96, 96),     3,       UNET_ON.weights, UNET_ON),  # on resnet18
]  # fmt: skip
