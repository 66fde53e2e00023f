"""Pictures: PNGs that open, of a size a page can hold, the same bytes for the same numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from pipeline.pictures.checks import draw_activations, draw_range
from pipeline.pictures.comparison import draw_comparison
from pipeline.pictures.confusion import draw_confusion
from pipeline.pictures.curves import draw_curves
from pipeline.pictures.detections import draw_detections, draw_precision_recall
from pipeline.pictures.differences import ShownDifference, draw_differences
from pipeline.pictures.labels import draw_labels
from pipeline.pictures.places import Marks
from pipeline.pictures.sheets import COLOURS, OPACITY, draw_sheet, overlay
from pipeline.pictures.statistics import draw_statistics
from pipeline.pictures.windows import ShownWindows, draw_windows
from pipeline.sanity.layers import Activity
from pipeline.transforms.statistics import measure

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (6, 12, 10, 1), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (6, 12, 10, 3), dtype=np.uint8)
MASKS = RANDOM.integers(0, 3, (6, 12, 10), dtype=np.uint8)
FOUND = Marks(
    np.array([[1, 1, 5, 6], [0, 0, 9, 11]], float),
    colours=["#CC6677", "#88CCEE"],
    names=["cat 87%", ""],
    is_dashed=[False, True],
)
NASTY = ["a$b$c", "$x_", "50 % <b>", "$\\frac$"]  # mathtext would stumble over them


ACTIVITIES = [
    Activity(f"layers[{index}]", "conv", 0.1, 1.0, 0.2 if index % 2 else float("nan"), 0.3)
    for index in range(30)
]


def history(num_epochs: int, num_scores: int = 2) -> list[dict[str, float]]:
    return [
        {"epoch": float(e), "lr": 0.1, "seconds": 1.0, "train/loss": 1 / (e + 1), "val/loss": 2 / (e + 1)}
        | {f"val/score_{i}": (e + i) / 100 for i in range(num_scores)}
        for e in range(num_epochs)
    ]


def diagonal(num_classes: int) -> np.ndarray:
    return np.diag(np.arange(num_classes))  # the first class has no image


def scene(detections: np.ndarray, rows: int = 3, columns: int = 2) -> ShownWindows:
    """Return an image of 10 columns and 12 rows with windows of 4 x 4 pixels, three pixels apart."""
    corners = [(3 * column, 3 * row) for row in range(rows) for column in range(columns)]
    return ShownWindows(
        COLOUR[0],
        labels=np.arange(rows * columns).reshape(rows, columns) % 3,
        confidences=np.full((rows, columns), 0.5),
        boxes=np.array([(x, y, x + 4, y + 4) for x, y in corners], float),
        detections=detections,
    )


def draw_measured(images: np.ndarray, path: Path, *, patch: tuple[int, int] | None = None) -> None:
    found = measure([images], patch=patch)
    white = found.whitening
    draw_statistics(
        found.mean_image,
        path,
        colours=found.colour_axes() if images.shape[-1] > 1 else None,
        tiles=None if white is None else (white.variances, white.axes),
        tile=patch,
    )


DRAWINGS: dict[str, Callable[[Path], None]] = {
    "several labels": lambda path: draw_labels(
        ["cat", "dog", "鳥"], np.array([3, 0, 5]), np.array([1, 0, 0]), np.array([0, 2, 4]), path
    ),
    "grey sheet": lambda path: draw_sheet(GREY, path),
    "colour sheet": lambda path: draw_sheet(COLOUR, path, captions=["a long name as another long name"] * 6),
    "mask sheet": lambda path: draw_sheet(GREY, path, masks=MASKS, classes=["other", *NASTY[2:]]),
    "one image": lambda path: draw_sheet(GREY[:1], path, captions=["a"]),
    "nasty captions": lambda path: draw_sheet(GREY[:4], path, captions=NASTY),
    "masks of many classes": lambda path: draw_sheet(
        GREY, path, masks=MASKS * 70, classes=[str(i) for i in range(255)]
    ),
    "sheet of many sides": lambda path: draw_sheet([GREY[0], COLOUR[0, :5], GREY[1, :, :4]], path),
    "grey statistics": lambda path: draw_measured(GREY, path),
    "colour statistics": lambda path: draw_measured(COLOUR, path),
    "grey whitening": lambda path: draw_measured(GREY, path, patch=(12, 10)),
    "colour whitening": lambda path: draw_measured(COLOUR, path, patch=(12, 10)),
    "whitening of one pixel": lambda path: draw_measured(GREY, path, patch=(1, 1)),
    "whitening of no contrast": lambda path: draw_measured(np.zeros_like(COLOUR), path, patch=(2, 2)),
    "curves": lambda path: draw_curves(history(20), path, kept=12),
    "curves of one epoch": lambda path: draw_curves(history(1), path, kept=0),
    "curves of many scores": lambda path: draw_curves(history(5, 40), path, kept=4),
    "confusion of two": lambda path: draw_confusion(diagonal(2), ["a", "b"], path),
    "confusion of nasty names": lambda path: draw_confusion(diagonal(4), NASTY, path),
    "confusion of the most": lambda path: draw_confusion(
        diagonal(255), [f"class {i}" for i in range(255)], path
    ),
    "confusion of nothing": lambda path: draw_confusion(np.zeros((3, 3), int), ["a", "b", "c"], path),
    "comparison": lambda path: draw_comparison(
        [("lr 0.1", [0.9]), ("lr $\\frac$", [0.85])], path, score="accuracy"
    ),
    "comparison of one": lambda path: draw_comparison([("", [0.9])], path, score="accuracy"),
    "comparison of equals": lambda path: draw_comparison([("a", [0.5])] * 3, path, score="accuracy"),
    "comparison of many": lambda path: draw_comparison(
        [(f"lr {i}", [1 / (i + 1)]) for i in range(300)], path, score="accuracy"
    ),
    "comparison of long labels": lambda path: draw_comparison(
        [("  ".join(["rate 0.001"] * 30), [0.5])] * 4, path, score="accuracy"
    ),
    "comparison with a failure": lambda path: draw_comparison(
        [("a", [0.5]), ("b", [float("nan")])], path, score="accuracy"
    ),
    "comparison of failures": lambda path: draw_comparison([("b", [float("nan")])], path, score="accuracy"),
    "detections": lambda path: draw_detections(
        [GREY[0], COLOUR[0, :5], COLOUR[1]],
        [FOUND, Marks(), Marks(points=np.ones((1, 2)), colours=["#CC6677"], names=["nose"])],
        NASTY[:3],
        path,
    ),
    "precision and recall": lambda path: draw_precision_recall(
        {name: np.linspace(1, 0, 101) for name in NASTY}, np.linspace(1, 0, 101), path, title=NASTY[0]
    ),
    "precision and recall of many": lambda path: draw_precision_recall(
        {str(label): np.ones(101) for label in range(21)}, np.linspace(1, 0, 101), path, title="of 21 classes"
    ),
    "windows": lambda path: draw_windows(
        [scene(np.array([[0, 0, 4, 4, 2, 0.9], [3, 6, 7, 10, 0, 0.5]])), scene(np.zeros((0, 6)))],
        NASTY[:3],
        path,
    ),
    "one window": lambda path: draw_windows([scene(np.zeros((0, 6)), 1, 1)], NASTY[:1], path),
    "windows of many classes": lambda path: draw_windows(
        [scene(np.array([[0, 0, 4, 4, 20, 0.9]]))], [str(label) for label in range(21)], path
    ),
    "differences": lambda path: draw_differences(
        [
            ShownDifference(NASTY[0], 0.02, (0.01, 0.03), (0.015, 0.025), is_shown=True),
            ShownDifference("a long name " * 9, -0.02, (-0.05, 0.01), (-0.03, 0.0), is_shown=False),
            ShownDifference("no interval", 0.0, (float("nan"),) * 2, (float("nan"),) * 2, is_shown=False),
        ],
        path,
        first=NASTY[1],
        score="accuracy",
    ),
    "range of rates": lambda path: draw_range(
        [1e-6, 1e-3, 1.0], [2, 1, 9], [2, 1.5, 3], path, low=1e-4, high=1e-2, declared=100.0
    ),
    "no range of rates": lambda path: draw_range(
        [1e-6, 1e-3],
        [2, float("inf")],
        [2, float("inf")],
        path,
        low=float("nan"),
        high=float("nan"),
        declared=0.1,
    ),
    "activations": lambda path: draw_activations({"before": ACTIVITIES[:2], "after": ACTIVITIES[:2]}, path),
    "activations of many layers": lambda path: draw_activations({"$x_": ACTIVITIES}, path),
    "comparison of seeds": lambda path: draw_comparison(
        [("a", [0.9, 0.8, float("nan")]), ("b", [0.7, 0.9])], path, score="accuracy"
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_picture_opens_and_fits_a_page(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "picture.png"
    DRAWINGS[name](path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert all(70 <= side <= 1600 for side in image.size), image.size
        assert "Software" not in image.info
        assert len(image.convert("RGB").getcolors(1 << 24)) > 1, "nothing is drawn"


@pytest.mark.parametrize(
    "name", ["mask sheet", "colour whitening", "curves", "confusion of two", "comparison"]
)
def test_same_numbers_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    for file in ("a.png", "b.png"):
        DRAWINGS[name](tmp_path / file)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("image", [GREY[0], COLOUR[0]], ids=["grey", "colour"])
def test_overlay_leaves_class_zero_alone_and_colours_the_others(image: np.ndarray) -> None:
    mask = MASKS[0]
    shown = overlay(image, mask)
    assert shown.shape == (12, 10, 3)
    assert shown.dtype == np.uint8
    wanted = np.broadcast_to(image, shown.shape)
    np.testing.assert_array_equal(shown[mask == 0], wanted[mask == 0])
    for label in (1, 2):
        paint = np.array(to_rgb(COLOURS[label - 1])) * 255
        blended = (1 - OPACITY) * wanted[mask == label] + OPACITY * paint
        np.testing.assert_allclose(shown[mask == label], blended, atol=0.5)


def test_overlay_of_an_empty_mask_is_the_image() -> None:
    np.testing.assert_array_equal(overlay(COLOUR[0], np.zeros((12, 10), np.uint8)), COLOUR[0])


def test_ignored_pixels_stay_clear_beside_named_classes(tmp_path: Path) -> None:
    ignored = np.where(MASKS == 2, 255, 0).astype(np.uint8)
    nothing = np.zeros_like(MASKS)
    for name, masks in (("ignored", ignored), ("nothing", nothing)):
        draw_sheet(GREY, tmp_path / f"{name}.png", masks=masks, classes=["other", "grey", "white"])
    assert (tmp_path / "ignored.png").read_bytes() == (tmp_path / "nothing.png").read_bytes()


def colours_in(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as image:
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}


def test_legend_shows_the_colour_of_each_class_but_the_first(tmp_path: Path) -> None:
    nothing = np.zeros_like(MASKS)
    draw_sheet(GREY, tmp_path / "sheet.png", masks=nothing, classes=["other", "grey", "white"])
    paints = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in COLOURS]
    assert [paint in colours_in(tmp_path / "sheet.png") for paint in paints[:3]] == [True, True, False]


def test_sheet_shows_the_pixels_as_they_are(tmp_path: Path) -> None:
    flat = np.full((1, 20, 20, 1), 77, np.uint8)  # darker or brighter if matplotlib stretched the contrast
    draw_sheet(flat, tmp_path / "sheet.png")
    assert (77, 77, 77) in colours_in(tmp_path / "sheet.png")


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_statistics_have_a_panel_for_colours_and_two_for_tiles(tmp_path: Path) -> None:
    names = ["grey statistics", "colour statistics", "grey whitening", "colour whitening"]
    for name in names:
        DRAWINGS[name](tmp_path / f"{name}.png")
    widths, heights = zip(*(size_of(tmp_path / f"{name}.png") for name in names), strict=True)
    panels = np.array(widths) / 286  # 2.6 inches of 110 pixels
    np.testing.assert_allclose(panels, [1, 2, 3, 4], atol=0.35)  # empty margins are cut
    assert all(abs(height - 286) < 30 for height in heights)


def test_mean_image_is_shown_on_the_scale_of_its_pixels(tmp_path: Path) -> None:
    images = np.full((2, 4, 4, 1), 51, np.uint8)
    images[:, :, 2:] = 204
    draw_measured(images, tmp_path / "grey.png")
    assert {(51, 51, 51), (204, 204, 204)} <= colours_in(tmp_path / "grey.png")
    draw_measured(np.broadcast_to(np.array([250, 51, 102], np.uint8), (2, 4, 4, 3)), tmp_path / "colour.png")
    assert (250, 51, 102) in colours_in(tmp_path / "colour.png")


def test_axes_of_colour_are_shown_up_to_two_deviations_from_the_mean(tmp_path: Path) -> None:
    images = np.full((2, 4, 4, 3), 100, np.uint8)
    images[0, ..., :2], images[1, ..., :2] = 80, 120  # red and green vary together, by 20 each
    draw_measured(images, tmp_path / "picture.png")
    yellows = [
        red
        for red, green, blue in colours_in(tmp_path / "picture.png")
        if abs(red - green) < 2 and blue == 100
    ]
    wanted = [60, 70, 80, 90, 100, 110, 120, 130, 140]
    assert all(any(abs(red - each) < 2 for red in yellows) for each in wanted)  # matplotlib rounds down
    assert all(any(abs(red - each) < 2 for each in wanted) for red in yellows)


def test_every_drawing_of_the_room_is_tested() -> None:
    modules = {path.stem for path in (Path(__file__).parents[2] / "pipeline" / "pictures").glob("*.py")} - {
        "__init__"
    }
    assert modules == {
        "anchors",
        "checks",
        "colours",
        "comparison",
        "confusion",
        "curves",
        "detections",
        "differences",
        "distances",
        "errors",
        "fonts",
        "heat",
        "labels",
        "marked",
        "places",
        "search",
        "sheets",
        "statistics",
        "windows",
    }
