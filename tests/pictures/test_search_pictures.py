"""Pictures of a search: every trial is there, the best line never falls, absent keys leave gaps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures.search import Key, draw_best_so_far, draw_parallel, draw_slices

KEYS = [
    Key("optimizer.lr", [(0.0, "1e-4"), (0.5, "1e-2"), (1.0, "1")]),
    Key("model $x_", [(0.25, "lenet5"), (0.75, "vgg$11")]),  # mathtext would stumble over it
]
SHARES = np.array([[0.1, 0.25], [0.5, 0.75], [0.9, -1.0]])
VALUES = [0.2, 0.9, 0.4]

DRAWINGS: dict[str, Callable[[Path], None]] = {
    "best so far": lambda path: draw_best_so_far(VALUES, path, maximizes=True),
    "best of one": lambda path: draw_best_so_far([0.3], path, maximizes=False),
    "slices": lambda path: draw_slices(KEYS, SHARES, VALUES, path, importances={"optimizer.lr": 0.9}),
    "slices of nine": lambda path: draw_slices(
        [KEYS[0]] * 9, np.repeat(SHARES[:, :1], 9, axis=1), VALUES, path, importances={}
    ),
    "parallel": lambda path: draw_parallel(KEYS, SHARES, VALUES, path),
    "parallel of equals": lambda path: draw_parallel(KEYS[:1], SHARES[:, :1], [0.5] * 3, path),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_picture_opens_and_fits_a_page(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "picture.png"
    DRAWINGS[name](path)
    with Image.open(path) as image:
        assert all(70 <= side <= 1700 for side in image.size), image.size
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10, "nothing is drawn"


@pytest.mark.parametrize(
    ("maximizes", "expected"), [(True, [0.2, 0.9, 0.9]), (False, [0.2, 0.2, 0.2])], ids=["up", "down"]
)
def test_best_line_follows_the_direction(
    maximizes: bool, expected: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("pipeline.pictures.search.save", lambda figure, _: drawn.append(figure))
    draw_best_so_far(VALUES, tmp_path / "x.png", maximizes=maximizes)
    dots, line = drawn[0].axes[0].lines
    assert dots.get_ydata().tolist() == VALUES
    assert line.get_ydata().tolist() == expected
