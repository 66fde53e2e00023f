"""How fast augmentation is: against albumentations' own steps, and images per second of each recipe on one core."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import albumentations
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, rates, times_faster
from pipeline.data.batches import PreparedSplit
from pipeline.data.draws import OnTheFly
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import CONF, compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.training.construction import build_augmentation, build_mixing
from pipeline.transforms.statistics import Statistics, measure

Array = NDArray[np.uint8]

SIDES = (32, 96, 224)
IMAGES = 16  # in a batch, which is drawn again in each round


def measured() -> Iterator[Figure]:
    """Yield the figures."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield _pca_shift()
        yield _alexnet()
        for side in SIDES:
            yield from rates(
                {
                    f"augmentation={recipe}, {side} x {side}, images/s on one core": (
                        IMAGES,
                        partial(_split(recipe, side).__getitem__, (0, list(range(IMAGES)))),
                    )
                    for recipe in sorted(path.stem for path in (CONF / "augmentation").glob("*.yaml"))
                }
            )
    finally:
        cv2.setNumThreads(threads)


def _pca_shift() -> Figure:
    images = _images(224)
    (ours,) = _steps("pca_color", 224)
    fancy = albumentations.FancyPCA(alpha=0.1, p=1.0)
    return times_faster(
        "PCA colour shift at 224 x 224, times faster than albumentations.FancyPCA",
        lambda: [ours(image=image) for image in images],
        lambda: [fancy(image=image) for image in images],
        goal=10,
    )


def _alexnet() -> Figure:
    """Compare AlexNet's recipe as declared, its seeds per sample included, with the steps as one writes them."""
    images = _images(256)
    more = ["data.shape=[3,256,256]", "input_shape=[3,224,224]", "augmentation.steps.1.padding=0.0"]
    augmentation = build_augmentation(_declared("augmentation=alexnet", *more), _statistics(images))
    assert augmentation is not None
    draws = OnTheFly(augmentation, None, seed=0)
    plain = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.RandomCrop(224, 224),
            albumentations.FancyPCA(alpha=0.1, p=1.0),
        ]
    )
    labels = np.zeros(len(images), dtype=np.uint8)
    return times_faster(
        "augmentation=alexnet, 224 of 256, times faster than plain albumentations",
        lambda: draws.batch(images, labels, 0, list(range(len(images)))),
        lambda: np.stack([plain(image=image)["image"] for image in images]),
        goal=1.5,
    )


def _split(recipe: str, side: int) -> PreparedSplit:
    """Return random images as training draws them by a recipe."""
    images = _images(side)
    declaration = _declared(f"augmentation={recipe}", f"data.shape=[3,{side},{side}]")
    augmentation = build_augmentation(declaration, _statistics(images))
    kind = load_kind("label")
    draws = None if augmentation is None else OnTheFly(augmentation, kind.moves_as, seed=0)
    labels = np.zeros(IMAGES, dtype=np.uint8)
    return PreparedSplit(images, labels, kind, draws=draws, mix=build_mixing(declaration))


def _steps(recipe: str, side: int) -> list[albumentations.BasicTransform]:
    declaration = _declared(f"augmentation={recipe}", f"data.shape=[3,{side},{side}]")
    augmentation = build_augmentation(declaration, _statistics(_images(side)))
    assert augmentation is not None
    return augmentation.steps


def _declared(*overrides: str) -> Declaration:
    """Return a declaration of which only the augmentation counts: a recipe need not suit the data."""
    return Declaration.parse(compose_sections(overrides))


def _images(side: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, side, side, 3), dtype=np.uint8)


def _statistics(images: Array) -> Statistics:
    return measure([images], patch=None)
