"""Rows of the zoo for embeddings: sums by plain arithmetic."""

from __future__ import annotations

from tests.networks.row import Row
from tests.networks.rows_modern import Cost, add, conv, depthwise, row

HALF, QUARTER, EIGHTH, SIXTEENTH = 56 * 48, 28 * 24, 14 * 12, 7 * 6


def block(kernel: int, channels: int, filters: int, before: int, after: int) -> Cost:
    """Six times the channels, a filter for each, and so many again; pixels before and after the stride."""
    wide = 6 * channels
    return add(conv(1, channels, wide, before), depthwise(kernel, wide, after), conv(1, wide, filters, after))


def face_lite0(outputs: int) -> Cost:
    """Stem and five stages of 1, 2, 2 and 3 blocks, of which the first does not widen, then the outputs."""
    first = [conv(3, 3, 32, HALF), depthwise(3, 32, HALF), conv(1, 32, 16, HALF)]
    second = [block(3, 16, 24, HALF, QUARTER), block(3, 24, 24, QUARTER, QUARTER)]
    third = [block(5, 24, 40, QUARTER, EIGHTH), block(5, 40, 40, EIGHTH, EIGHTH)]
    fourth = [block(3, 40, 80, EIGHTH, SIXTEENTH), *[block(3, 80, 80, SIXTEENTH, SIXTEENTH)] * 2]
    return add(*first, *second, *third, *fourth, conv(1, 80, outputs, SIXTEENTH, extra=1))


EMBEDDINGS: list[Row] = [row("face_lite0", (3, 112, 96), 16, 255_280, face_lite0(16))]
