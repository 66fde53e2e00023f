"""Rows of the zoo for detectors: sums by plain arithmetic; grids of 16 x 16 cells of 8 pixels."""

from __future__ import annotations

from tests.networks.row import Row
from tests.networks.rows_modern import Cost, add, conv, row

HALF, QUARTER, GRID = 64**2, 32**2, 16**2


def yolo_on_resnet18(outputs: int) -> Cost:
    """Stem and the stages of 64 and of 128 filters of ResNet-18, one more convolution, and the grid."""
    stages = [conv(3, 64, 64, QUARTER)] * 4 + [conv(3, 128, 128, GRID)] * 3
    stages += [conv(3, 64, 128, GRID), conv(1, 64, 128, GRID)]  # the latter is the projection
    head = [conv(3, 128, 128, GRID), conv(1, 128, outputs, GRID, extra=1)]
    return add(conv(7, 3, 64, HALF), *stages, *head)


def yolo_small(outputs: int) -> Cost:
    """Three strided convolutions, two residual blocks, one more convolution, and the grid."""
    stem = [conv(3, 1, 8, HALF), conv(3, 8, 24, QUARTER), conv(3, 24, 48, GRID)]
    return add(*stem, *[conv(3, 48, 48, GRID)] * 5, conv(1, 48, outputs, GRID, extra=1))


DETECTORS: list[Row] = [
    row("yolo_on", (3, 128, 128), 45, 836_589, yolo_on_resnet18(45)),
    row("yolo_small", (1, 128, 128), 45, 118_693, yolo_small(45)),
]
