"""Previews: sheets show the pixels that training sees, and say what was done to them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.data.batches import PreparedSplit
from pipeline.data.draws import OnTheFly, derive_seed
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.declaration import Declaration
from pipeline.training import previews
from pipeline.training.assemble import ResolvedTask
from pipeline.training.construction import build_augmentation, build_mixing
from pipeline.training.previews import DRAWS, draw_previews
from pipeline.transforms.statistics import measure
from tests.makers import data_section, declaration

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 2
MASKS = IMAGES[..., 0] % 2
BOXES = np.tile(np.array([1, 2, 4, 7, 1, 0], np.float32), (20, 1, 1))
STATISTICS = measure([IMAGES], patch=None)
FLIP = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
TURN = {"_target_": "albumentations.VerticalFlip", "p": 1.0}
MIXUP = {"_target_": "pipeline.transforms.mixing.Mixup", "alpha": 1.0}

PLAIN = ResolvedTask({}, [], draw=lambda folder: [])  # of a task that draws nothing

Sheets = dict[str, dict[str, Any]]


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> Sheets:
    """Note what is drawn by the name of its file, and draw nothing."""
    drawn: Sheets = {}

    def draw_sheet(images: list[NDArray[np.uint8]], path: Path, **about: Any) -> None:
        drawn[path.name] = {"images": list(images), **about}

    monkeypatch.setattr(previews, "draw_sheet", draw_sheet)
    return drawn


def declared(*steps: dict[str, Any], mixing: dict[str, Any] | None = None) -> Declaration:
    section = {"steps": list(steps), "mixing": mixing, "copies": None}
    return declaration(data_section("images", shape=[3, 8, 8]), augmentation=section, seed=3)


def preview(settings: Declaration, folder: Path, *, kind: str = "label") -> list[str]:
    """Draw the previews of a training; return the names of the files."""
    augmentation, found = build_augmentation(settings, STATISTICS), load_kind(kind)
    draws = None if augmentation is None else OnTheFly(augmentation, found.moves_as, seed=settings.seed)
    targets = {"label": LABELS, "mask": MASKS, "boxes": BOXES}[kind]
    split = PreparedSplit(IMAGES, targets, found, draws=draws, mix=build_mixing(settings), seed=settings.seed)
    return [path.name for path in draw_previews(settings, split, augmentation, PLAIN, folder)]


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ((), ["training_images.png"]),
        ((FLIP,), ["training_images.png", "augmentation.png"]),
        ((FLIP, TURN), ["training_images.png", "augmentation.png", "augmentation_steps.png"]),
    ],
)
def test_augmentation_is_shown_where_there_is_one_and_steps_where_there_are_several(
    steps: tuple[dict[str, Any], ...], names: list[str], sheets: Sheets, tmp_path: Path
) -> None:
    assert preview(declared(*steps), tmp_path) == names == list(sheets)


def test_files_named_are_those_written(tmp_path: Path) -> None:
    names = preview(declared(FLIP, TURN), tmp_path, kind="mask")
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())


def test_labels_are_written_above_their_images(sheets: Sheets, tmp_path: Path) -> None:
    preview(declared(), tmp_path)
    shown = sheets["training_images.png"]
    places = [
        0,
        1,
        3,
        4,
        5,
        6,
        8,
        9,
        10,
        11,
        13,
        14,
        15,
        16,
        18,
        19,
    ]  # the middles of sixteen parts of twenty
    np.testing.assert_array_equal(shown["images"], IMAGES[places])
    assert shown["captions"] == [["cat", "dog"][LABELS[place]] for place in places]
    assert shown["masks"] is None


def test_masks_are_drawn_over_their_images_and_move_with_them(sheets: Sheets, tmp_path: Path) -> None:
    preview(declared(FLIP), tmp_path, kind="mask")
    for name in ("training_images.png", "augmentation.png"):
        shown = sheets[name]
        np.testing.assert_array_equal(shown["masks"], [image[..., 0] % 2 for image in shown["images"]])
        assert shown["classes"] == ["cat", "dog"]
    assert sheets["training_images.png"]["captions"] is None


def test_mixed_images_name_both_their_labels_by_weight(sheets: Sheets, tmp_path: Path) -> None:
    preview(declared(mixing=MIXUP), tmp_path)
    shown = sheets["training_images.png"]
    assert len(shown["images"]) == len(shown["captions"]) == 4 * 8
    weights = set()
    for caption in shown["captions"]:
        weight, own, plus, rest, partner = caption.split()
        assert {own, partner} <= {"cat", "dog"}
        assert plus == "+"
        assert float(weight) + float(rest) == pytest.approx(1, abs=0.011)
        weights.add(weight)
    assert len(weights) == 4, "a weight for each of four batches"


def test_each_draw_is_that_of_training_and_names_the_steps_that_changed_it(
    sheets: Sheets, tmp_path: Path
) -> None:
    preview(declared(FLIP, TURN), tmp_path)
    shown, settings = sheets["augmentation.png"], declared(FLIP, TURN)
    augmentation = build_augmentation(settings, STATISTICS)
    assert augmentation is not None
    images, captions = iter(shown["images"]), iter(shown["captions"])
    for index in (2, 7, 12, 17):
        np.testing.assert_array_equal(next(images), IMAGES[index])
        assert next(captions) == "original"
        for epoch in range(DRAWS):
            drawn = next(images)
            np.testing.assert_array_equal(
                drawn, augmentation(IMAGES[index], seed=derive_seed(3, epoch, index)).image
            )
            is_flipped = bool((drawn[::-1] != IMAGES[index]).any())
            assert next(captions) == ("HorizontalFlip, VerticalFlip" if is_flipped else "VerticalFlip")
    assert next(images, None) is None


def test_row_of_a_step_shows_that_step_alone(sheets: Sheets, tmp_path: Path) -> None:
    preview(declared(FLIP, TURN), tmp_path)
    shown = sheets["augmentation_steps.png"]
    flips, turns = (slice(start, start + 1 + DRAWS) for start in (0, 1 + DRAWS))
    assert shown["captions"][0] == "1. HorizontalFlip, p 0.5"
    assert shown["captions"][1 + DRAWS] == "2. VerticalFlip, p 1"
    mirrored = [bool((image != IMAGES[2]).any()) for image in shown["images"][flips]][1:]
    assert shown["captions"][flips][1:] == ["HorizontalFlip" if each else "as it was" for each in mirrored]
    for image in shown["images"][turns][1:]:
        np.testing.assert_array_equal(image, IMAGES[7, ::-1])
    assert shown["captions"][turns][1:] == ["VerticalFlip"] * DRAWS


def test_boxes_are_shown_where_each_draw_has_moved_them(sheets: Sheets, tmp_path: Path) -> None:
    preview(declared({**FLIP, "p": 1.0}), tmp_path, kind="boxes")
    shown = sheets["augmentation.png"]
    assert len(shown["marks"]) == len(shown["images"])
    places = [marks.boxes.tolist() for marks in shown["marks"]]
    assert places[0] == [[1, 2, 4, 7]]
    assert places[1 : 1 + DRAWS] == [[[4, 2, 7, 7]]] * DRAWS
    assert all(list(marks.names) == ["dog"] for marks in shown["marks"])
