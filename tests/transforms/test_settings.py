"""Settings of preprocessing and views: what cannot work on the images is refused before anything is built."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.transforms.settings import ViewSettings, check_preprocess, check_views, find_tile
from tests.refusals import refused

CODE = Path(__file__).parents[2]
COLOUR = (3, 32, 24)
SMALLER = (3, 28, 24)


def whiten(kind: str, patch: int | None) -> dict[str, Any]:
    return {"_target_": f"pipeline.transforms.preprocess.{kind}", "patch": patch, "epsilon": 0.01}


TILES = [
    # preprocess                     rows and columns of tiles
    (whiten("PcaWhiten", None), (32, 24)),
    (whiten("ZcaWhiten", None), (32, 24)),
    (whiten("PcaWhiten", 8), (8, 8)),
    (whiten("ZcaWhiten", 4), (4, 4)),
    ({"_target_": "pipeline.transforms.preprocess.Standardize"}, None),
    ({"_target_": "mylab.Standardize", "patch": 4}, None),
]


@pytest.mark.parametrize(("preprocess", "tile"), TILES)
def test_tile_is_what_is_whitened(preprocess: dict[str, Any], tile: tuple[int, int] | None) -> None:
    assert find_tile(preprocess, COLOUR) == tile


LARGE = (
    "preprocess.patch: a tile of {} has {} values, more than the limit of 4,096, got {}; choose a smaller patch, such "
    "as preprocess.patch=8"
)
CROPPED = (
    "preprocess.patch must be set where the network sees crops of 3 x 28 x 32 from images of 3 x 32 x 32, got None; "
    "choose a patch that divides the rows and columns of both, or another preprocess"
)
UNEVEN = (
    "preprocess.patch must be a divisor of the rows and columns of images of {}, got {}; 4 and 8 are usual"
)
SMALL, OTHER, USUAL = "preprocess.patch=8", "a patch that divides", "4 and 8 are usual"
WHITENING_REFUSED = [
    # patch, image, what the network sees, the way out, what is said
    (None, (3, 64, 64), (3, 64, 64), SMALL, LARGE.format("3 x 64 x 64", "12,288", None)),
    (None, (1, 1, 4097), (1, 1, 4097), SMALL, LARGE.format("1 x 1 x 4097", "4,097", None)),
    (64, (3, 128, 64), (3, 128, 64), SMALL, LARGE.format("3 x 64 x 64", "12,288", 64)),
    (None, (3, 32, 32), (3, 28, 32), OTHER, CROPPED),
    (5, (1, 30, 32), (1, 30, 32), USUAL, UNEVEN.format("1 x 30 x 32", 5)),
    (5, (1, 32, 30), (1, 32, 30), USUAL, UNEVEN.format("1 x 32 x 30", 5)),
    (8, (3, 32, 32), (3, 28, 24), USUAL, UNEVEN.format("3 x 28 x 24", 8)),
    (0, (1, 32, 32), (1, 32, 32), USUAL, UNEVEN.format("1 x 32 x 32", 0)),
    (-4, (1, 32, 32), (1, 32, 32), USUAL, UNEVEN.format("1 x 32 x 32", -4)),
]


@pytest.mark.parametrize("kind", ["PcaWhiten", "ZcaWhiten"])
@pytest.mark.parametrize(("patch", "shape", "seen", "hint", "text"), WHITENING_REFUSED)
def test_whitening_that_does_not_fit_is_refused(
    kind: str, patch: int | None, shape: tuple[int, ...], seen: tuple[int, ...], hint: str, text: str
) -> None:
    with refused("preprocess.patch", got=patch, hint=hint, text=text):
        check_preprocess(whiten(kind, patch), shape=shape, input_shape=seen)
    check_preprocess(
        {"_target_": "pipeline.transforms.preprocess.Scaled", "scale": 1.0}, shape=shape, input_shape=seen
    )


@pytest.mark.parametrize(
    ("patch", "shape", "seen"),
    [
        (None, (1, 64, 64), (1, 64, 64)),  # 4096 values
        (4, (3, 256, 512), (3, 224, 12)),
        (1, (3, 7, 5), (3, 2, 3)),
        (36, (3, 72, 36), (3, 36, 36)),
    ],
)
def test_whitening_that_fits_is_accepted(
    patch: int | None, shape: tuple[int, ...], seen: tuple[int, ...]
) -> None:
    check_preprocess(whiten("ZcaWhiten", patch), shape=shape, input_shape=seen)


MASKS = "centre for tasks with masks, which cover the whole image"
WHOLE = "centre where the network sees the whole image of 3 x 32 x 24"
VIEWS_REFUSED = [
    # views, what the network sees, whether the task is dense, what is allowed, the way out, what is said
    ("center", COLOUR, False, "centre or corners", "", "views.crops must be centre or corners, got 'center'"),
    (None, SMALLER, True, "centre or corners", "", "views.crops must be centre or corners, got None"),
    ("corners", COLOUR, True, MASKS, "views=flips",
     "views.crops must be centre for tasks with masks, which cover the whole image, got 'corners'; use views=whole or "
     "views=flips"),
    ("corners", SMALLER, True, MASKS, "views=whole", ""),
    ("corners", COLOUR, False, WHOLE, "views=flips",
     "views.crops must be centre where the network sees the whole image of 3 x 32 x 24, got 'corners'; make "
     "input_shape smaller than data.shape, or use views=flips"),
]  # fmt: skip


def look(
    crops: Any, mirror: bool, seen: tuple[int, ...], dense: bool = False, changes: bool = False
) -> list[str]:
    return check_views(
        ViewSettings(crops=crops, mirror=mirror),
        shape=COLOUR,
        input_shape=seen,
        possible=("centre",) if dense else ("centre", "corners"),
        mirror_changes_label=changes,
    )


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("crops", "seen", "dense", "allowed", "hint", "text"), VIEWS_REFUSED)
def test_views_that_cannot_be_are_refused(
    crops: Any, seen: tuple[int, ...], dense: bool, allowed: str, hint: str, text: str, mirror: bool
) -> None:
    with refused("views.crops", got=crops, allowed=allowed, hint=hint, text=text):
        look(crops, mirror, seen, dense)


@pytest.mark.parametrize(
    ("crops", "seen", "dense"),
    [("centre", COLOUR, False), ("centre", COLOUR, True), ("corners", SMALLER, False)],
)
def test_mirrored_view_that_changes_the_label_gives_a_warning(
    crops: str, seen: tuple[int, ...], dense: bool
) -> None:
    warning = (
        "views.mirror: test images are mirrored, and data.mirror_changes_label says that a mirrored image may belong "
        "to another class; use views=whole"
    )
    assert look(crops, True, seen, dense, changes=True) == [warning]
    assert look(crops, False, seen, dense, changes=True) == []
    assert look(crops, True, seen, dense, changes=False) == []


def test_checks_load_nothing_that_they_check() -> None:
    code = (
        "import sys, pipeline.transforms.settings;"
        "print({'torch', 'albumentations', 'numpy', 'hydra'} & {name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CODE, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
