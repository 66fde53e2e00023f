"""Paintings are put together from the pieces of puzzles."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.bundled.encoding import write_folder
from pipeline.data.bundled.paintings import BOARD, EDGE, find_stem, put_together
from tests.refusals import refused

FOLDER = "/activity/resource"


def piece(pixels: np.ndarray) -> bytes:
    """Return a piece with a transparent border of 4 pixels."""
    framed = np.zeros((pixels.shape[0] + 8, pixels.shape[1] + 8, 4), np.uint8)
    framed[4:-4, 4:-4] = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    file = io.BytesIO()
    Image.fromarray(framed).save(file, "WEBP", lossless=True)
    return file.getvalue()


def board(places: dict[str, tuple[float, float]]) -> bytes:
    pieces = [
        f'{{ "pixmapfile" : "image/{name}",\n "x" : "{x / BOARD[0]}",\n "y" : "{y / BOARD[1]}" }}'
        for name, (x, y) in places.items()
    ]
    return f'property string instruction: qsTr("A Painter, The Wave - 1830")\n{",".join(pieces)}'.encode()


def test_pieces_are_put_where_the_board_says_and_edges_are_cut_off() -> None:
    painting = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    top, left = 20, 200
    files = {
        f"{FOLDER}/image/a.webp": piece(painting[:, :50]),
        f"{FOLDER}/image/b.webp": piece(painting[:, 50:]),
        f"{FOLDER}/board/1.qml": board({"a.webp": (left + 25, top + 30), "b.webp": (left + 75, top + 30)}),
    }
    title, image = put_together(f"{FOLDER}/board/1.qml", files)
    assert title == "A Painter, The Wave - 1830"
    assert np.array_equal(np.asarray(image), painting[EDGE:-EDGE, EDGE:-EDGE])


def test_board_without_pieces_is_refused() -> None:
    with refused("gcompris-qt-data", hint="use version 3.1-2 of the package"):
        put_together("board/1.qml", {"board/1.qml": board({})})


@pytest.mark.parametrize(
    ("title", "stem"),
    [
        ("Katsushika Hokusai, The Great Wave off Kanagawa - 1823-1829", "great_wave"),
        ("Vincent Van Gogh, Village Street in Auvers - 1890", "village_street"),
        ("Katsushika Hokusai, Oiran and Kamuro", "oiran_and_kamuro"),
        ("Leonardo da Vinci, Mona Lisa - 1503-19", "mona_lisa"),
    ],
)
def test_files_have_short_names(title: str, stem: str) -> None:
    assert find_stem(title) == stem


def test_files_are_written_into_a_folder_beside_others(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("stays")
    write_folder(tmp_path, {"a.ppm": b"1", "b/c.txt": b"2"})
    assert (tmp_path / "a.ppm").read_bytes() == b"1"
    assert (tmp_path / "b" / "c.txt").read_bytes() == b"2"
    assert (tmp_path / "mine.txt").read_text() == "stays"
