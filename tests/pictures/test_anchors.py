"""The figure of anchors says for each what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.boxes.anchors import shape_iou
from pipeline.pictures import anchors
from pipeline.pictures.anchors import draw_anchors


def test_legend_has_objects_mean_iou_and_those_that_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(anchors, "save", lambda figure, path: drawn.append(figure))
    sizes = np.array([[10.0, 10.0], [10.0, 5.0], [40.0, 2.0], [20.0, 30.0]])
    shapes = np.array([[10.0, 10.0], [20.0, 30.0], [90.0, 90.0]])
    draw_anchors(sizes, shapes, shape_iou(sizes, shapes), tmp_path / "anchors.png", least=0.5)
    (figure,) = drawn
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "10 x 10: 3 objects, mean IoU 0.542, not taken 1",  # 1, a half, and 20 of 160 pixels
        "20 x 30: 1 objects, mean IoU 1.000, not taken 0",
        "90 x 90: 0 objects, not taken 0",
        "all: 4 objects, mean IoU 0.656, not taken 1",
    ]
    rectangles: list[Any] = figure.axes[0].patches
    assert [(each.get_width(), each.get_height()) for each in rectangles] == [tuple(each) for each in shapes]
    assert all(each.get_x() == -each.get_width() / 2 for each in rectangles)
