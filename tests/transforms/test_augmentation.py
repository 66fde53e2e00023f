"""Augmentation: a draw depends on its seed alone, steps draw apart, and a run without steps loads nothing."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import albumentations
import numpy as np
import pytest

from pipeline.transforms.augmentation import Augmentation

CODE = Path(__file__).parents[2]
NOISE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def random_steps() -> list[albumentations.BasicTransform | albumentations.BaseCompose]:
    return [
        albumentations.HorizontalFlip(p=0.5),
        albumentations.OneOf(
            [albumentations.GaussNoise(p=1.0), albumentations.Affine(rotate=30, p=1.0)], p=0.9
        ),
        albumentations.RandomBrightnessContrast(p=0.5),
    ]


def test_same_seed_gives_the_same_draw_whatever_was_drawn_before() -> None:
    first, second = Augmentation(random_steps()), Augmentation(random_steps())
    drawn = [first(NOISE, NOISE[..., 0].copy(), seed) for seed in range(12)]
    again = [second(NOISE, NOISE[..., 0].copy(), seed) for seed in reversed(range(12))]
    for (image, mask), (image_again, mask_again) in zip(drawn, reversed(again), strict=True):
        np.testing.assert_array_equal(image, image_again)
        np.testing.assert_array_equal(mask, mask_again)
    assert len({image.tobytes() for image, _ in drawn}) > 8


def test_image_moves_alike_with_and_without_a_mask() -> None:
    augment = Augmentation(random_steps())
    for seed in range(12):
        alone, absent = augment(NOISE, None, seed)
        np.testing.assert_array_equal(alone, augment(NOISE, NOISE[..., 0].copy(), seed)[0])
        assert absent is None


def test_steps_draw_apart_from_each_other() -> None:
    augment = Augmentation(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.VerticalFlip(p=0.5),
            albumentations.Transpose(p=0.5),
        ]
    )
    square = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    counts = Counter(augment(square, None, seed)[0].tobytes() for seed in range(400))
    # The eight symmetries of a square, each 50 times on average; one deviation is sqrt(400 * 7 / 64) = 6.6.
    assert len(counts) == 8
    assert all(abs(count - 50) < 4 * 6.6 for count in counts.values())


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_and_shape_are_kept(channels: int) -> None:
    image = np.ascontiguousarray(NOISE[..., :channels])
    before = image.copy()
    for seed in range(12):
        drawn, mask = Augmentation(random_steps())(image, NOISE[..., 0].copy(), seed)
        assert mask is not None
        assert (drawn.shape, mask.shape) == ((9, 7, channels), (9, 7))
        assert drawn.dtype == mask.dtype == np.uint8
        assert drawn.flags.c_contiguous
        assert mask.flags.c_contiguous
    np.testing.assert_array_equal(image, before)


def drop_channel(image: np.ndarray, **_: object) -> np.ndarray:
    return image[..., 0]


def test_channel_that_a_step_drops_comes_back() -> None:
    augment = Augmentation([albumentations.Lambda(name="drop_channel", image=drop_channel)])
    np.testing.assert_array_equal(augment(NOISE[..., :1], None, 0)[0], NOISE[..., :1])


def test_mask_takes_no_value_between_two_classes() -> None:
    augment = Augmentation([albumentations.Affine(rotate=(-40.0, 40.0), scale=(0.7, 1.4), p=1.0)])
    mask = np.where(NOISE[..., 0] > 127, np.uint8(200), np.uint8(0))
    for seed in range(12):
        moved = augment(NOISE, mask, seed)[1]
        assert moved is not None
        assert set(np.unique(moved)) <= {0, 200}


IMPORT = """
import importlib.abc, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "albumentations":
            print("imported with", os.environ.get("NO_ALBUMENTATIONS_UPDATE"))
            raise SystemExit
sys.meta_path.insert(0, Watch())

from pipeline.transforms.augmentation import Augmentation
print("room", "torch" in sys.modules)
Augmentation([])
"""


def test_albumentations_is_imported_late_and_never_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_ALBUMENTATIONS_UPDATE", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=CODE, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["room False", "imported with 1"]
