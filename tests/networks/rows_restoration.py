"""Rows of the zoo for networks that put out images: sums by plain arithmetic."""

from __future__ import annotations

from tests.networks.row import Row
from tests.networks.rows_modern import Cost, add, conv, row

PATCH, SMALL = 64**2, 32**2


def dncnn(channels: int) -> Cost:
    """From the channels to 32 maps, six convolutions of these, and back; each with a bias."""
    ends = (conv(3, channels, 32, PATCH, extra=1), conv(3, 32, channels, PATCH, extra=1))
    return add(*ends, *[conv(3, 32, 32, PATCH, extra=1)] * 6)


def edsr_small(channels: int) -> Cost:
    """From the channels to 32 maps, four blocks of two convolutions, and four maps for each channel, on 32 x 32."""
    ends = (conv(3, channels, 32, SMALL, extra=1), conv(3, 32, 4 * channels, SMALL, extra=1))
    return add(*ends, *[conv(3, 32, 32, SMALL, extra=1)] * 8)


def stylizer() -> Cost:
    """9 x 9 filters at both ends, two strided convolutions down to 16 x 16, five blocks of two, and two on the way up.

    Norms have a factor and a shift for each channel.
    """
    down = [conv(9, 3, 32, PATCH), conv(3, 32, 64, SMALL), conv(3, 64, 128, 16**2)]
    rise = [conv(3, 128, 64, SMALL), conv(3, 64, 32, PATCH)]
    return add(*down, *[conv(3, 128, 128, 16**2)] * 10, *rise, conv(9, 32, 3, PATCH, extra=1))


def up(channels: int, filters: int, pixels: int) -> Cost:
    """A transposed convolution whose 2 x 2 windows do not overlap: each of the larger map's pixels has one input."""
    return Cost(4 * channels * filters + 2 * filters, channels * filters * pixels)


def autoencoder() -> Cost:
    """Three strided convolutions down to 4 x 4, three doublings, one more convolution."""
    down = [conv(3, 1, 16, 16**2), conv(3, 16, 32, 8**2), conv(3, 32, 8, 4**2)]
    rise = [up(8, 32, 8**2), up(32, 16, 16**2), up(16, 16, 32**2)]
    return add(*down, *rise, conv(3, 16, 1, 32**2, extra=1))


RESTORATION: list[Row] = [
    row("dncnn", (3, 64, 64), 3, 57_251, dncnn(3)),
    row("edsr_small", (3, 32, 32), 3, 78_348, edsr_small(3)),
    row("stylizer", (3, 64, 64), 3, 1_677_635, stylizer()),
    row("pixels_from_noise", (3, 64, 64), 3, 12_288, Cost(12_288, 0)),
    row("pixels_from_content", (3, 64, 64), 3, 12_288, Cost(12_288, 0)),
    row("autoencoder", (1, 32, 32), 1, 11_537, autoencoder()),
]
