"""Settings of preprocessing and views: what cannot work on the images is refused before anything is built."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.transforms.settings import check_preprocess, check_views, tile_of

CODE = Path(__file__).parents[2]
COLOUR = (3, 32, 24)
SMALLER = (3, 28, 24)


def whiten(kind: str, patch: int | None) -> dict[str, Any]:
    return {"_target_": f"pipeline.transforms.preprocess.{kind}", "patch": patch, "epsilon": 0.01}


def exactly(text: str) -> str:
    return f"^{re.escape(text)}$"


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
    assert tile_of(preprocess, COLOUR) == tile


WHITENING_REFUSED = [
    # patch, image, what the network sees, what is said
    (
        None,
        (3, 64, 64),
        (3, 64, 64),
        "preprocess.patch: whitening tiles of 3 x 64 x 64 takes a matrix of 12,288 x 12,288; at most 4,096 values per "
        "tile are possible, choose a smaller patch, such as preprocess.patch=8",
    ),
    (
        None,
        (1, 1, 4097),
        (1, 1, 4097),
        "preprocess.patch: whitening tiles of 1 x 1 x 4097 takes a matrix of 4,097 x 4,097; at most 4,096 values per "
        "tile are possible, choose a smaller patch, such as preprocess.patch=8",
    ),
    (
        64,
        (3, 128, 64),
        (3, 128, 64),
        "preprocess.patch: whitening tiles of 3 x 64 x 64 takes a matrix of 12,288 x 12,288; at most 4,096 values per "
        "tile are possible, choose a smaller patch, such as preprocess.patch=8",
    ),
    (
        None,
        (3, 32, 32),
        (3, 28, 32),
        "preprocess.patch: whole images of 3 x 32 x 32 cannot be whitened where the network sees 3 x 28 x 32 of them; "
        "choose a patch that divides both, or another preprocess",
    ),
    (
        5,
        (1, 30, 32),
        (1, 30, 32),
        "preprocess.patch must divide the rows and columns of images of 1 x 30 x 32, got 5; 8 is usual",
    ),
    (
        5,
        (1, 32, 30),
        (1, 32, 30),
        "preprocess.patch must divide the rows and columns of images of 1 x 32 x 30, got 5; 8 is usual",
    ),
    (
        8,
        (3, 32, 32),
        (3, 28, 24),
        "preprocess.patch must divide the rows and columns of images of 3 x 28 x 24, got 8; 8 is usual",
    ),
    (
        0,
        (1, 32, 32),
        (1, 32, 32),
        "preprocess.patch must divide the rows and columns of images of 1 x 32 x 32, got 0; 8 is usual",
    ),
    (
        -4,
        (1, 32, 32),
        (1, 32, 32),
        "preprocess.patch must divide the rows and columns of images of 1 x 32 x 32, got -4; 8 is usual",
    ),
]


@pytest.mark.parametrize("kind", ["PcaWhiten", "ZcaWhiten"])
@pytest.mark.parametrize(("patch", "shape", "seen", "text"), WHITENING_REFUSED)
def test_whitening_that_does_not_fit_is_refused(
    kind: str, patch: int | None, shape: tuple[int, ...], seen: tuple[int, ...], text: str
) -> None:
    with pytest.raises(ConfigError, match=exactly(text)):
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


VIEWS_REFUSED = [
    # views, what the network sees, whether the task is dense, what is said
    ("center", COLOUR, False, "views.crops must be centre or corners, got 'center'"),
    (None, SMALLER, True, "views.crops must be centre or corners, got None"),
    ("corners", COLOUR, True, "views.crops: a mask covers the whole image; use views=whole or views=flips"),
    ("corners", SMALLER, True, "views.crops: a mask covers the whole image; use views=whole or views=flips"),
    (
        "corners",
        COLOUR,
        False,
        "views.crops: the network sees all of 3 x 32 x 24, so that all crops would be the same; make input_shape "
        "smaller than data.shape, or use views=flips",
    ),
]


def look(
    crops: Any, mirror: bool, seen: tuple[int, ...], dense: bool = False, changes: bool = False
) -> list[str]:
    views = {"crops": crops, "mirror": mirror}
    return check_views(views, shape=COLOUR, input_shape=seen, is_dense=dense, mirror_changes_label=changes)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(("crops", "seen", "dense", "text"), VIEWS_REFUSED)
def test_views_that_cannot_be_are_refused(
    crops: Any, seen: tuple[int, ...], dense: bool, text: str, mirror: bool
) -> None:
    with pytest.raises(ConfigError, match=exactly(text)):
        look(crops, mirror, seen, dense)


@pytest.mark.parametrize(
    ("crops", "seen", "dense"),
    [("centre", COLOUR, False), ("centre", COLOUR, True), ("corners", SMALLER, False)],
)
def test_mirrored_view_that_changes_the_label_is_told(crops: str, seen: tuple[int, ...], dense: bool) -> None:
    told = (
        "views.mirror: test images are mirrored, and data.mirror_changes_label says that a mirrored image may belong "
        "to another class; use views=whole"
    )
    assert look(crops, True, seen, dense, changes=True) == [told]
    assert look(crops, False, seen, dense, changes=True) == []
    assert look(crops, True, seen, dense, changes=False) == []


def test_checks_load_nothing_that_they_check() -> None:
    code = (
        "import sys, pipeline.transforms.settings;"
        "print({'torch', 'albumentations', 'numpy', 'hydra'} & {name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CODE, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
