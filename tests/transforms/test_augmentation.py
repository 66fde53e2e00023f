"""Augmentation: a draw depends on its seed alone, steps draw apart, and a run without steps loads nothing."""

import copy
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import albumentations
import numpy as np
import pytest

from pipeline.transforms.augmentation import Augmentation, Drawn
from tests.refusals import refused

CODE = Path(__file__).parents[2]
NOISE = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
BOXES = np.array([[1, 1, 5, 5, 2], [0, 0, 7, 9, 0]], dtype=float)
POINTS = np.array([[0, 0], [4, 5], [-1, 8.5]])


def random_steps() -> list[albumentations.BasicTransform | albumentations.BaseCompose]:
    return [
        albumentations.HorizontalFlip(p=0.5),
        albumentations.OneOf(
            [albumentations.GaussNoise(p=1.0), albumentations.Affine(rotate=30, p=1.0)], p=0.9
        ),
        albumentations.RandomBrightnessContrast(p=0.5),
    ]


def draw(augment: Augmentation, seed: int) -> Drawn:
    return augment(NOISE, NOISE[..., 0].copy(), seed=seed, boxes=BOXES, points=POINTS)


def test_same_seed_gives_the_same_draw_whatever_was_drawn_before() -> None:
    first, second = Augmentation(random_steps()), Augmentation(random_steps())
    drawn = [draw(first, seed) for seed in range(12)]
    again = [draw(second, seed) for seed in reversed(range(12))]
    for one, other in zip(drawn, reversed(again), strict=True):
        for part, part_again in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, part_again)
    assert len({each.image.tobytes() for each in drawn}) > 8


def test_image_moves_alike_with_and_without_a_mask() -> None:
    augment = Augmentation(random_steps())
    for seed in range(12):
        alone = augment(NOISE, None, seed=seed)
        np.testing.assert_array_equal(alone.image, augment(NOISE, NOISE[..., 0].copy(), seed=seed).image)
        assert alone[1:] == (None, None, None)


def test_batch_is_the_draws_of_its_samples() -> None:
    augment, seeds = Augmentation(random_steps()), range(12)
    images = np.random.default_rng(1).integers(0, 256, (12, 9, 7, 3), dtype=np.uint8)
    drawn, masks = augment.batch(images, images[..., 0].copy(), moves_as="mask", seeds=seeds)
    for index, seed in enumerate(seeds):
        alone = augment(images[index], images[index, ..., 0].copy(), seed=seed)
        np.testing.assert_array_equal(drawn[index], alone.image)
        np.testing.assert_array_equal(masks[index], alone.mask)


@pytest.mark.parametrize("shape", [(12,), (12, 9, 7)], ids=["labels", "maps"])
def test_targets_of_a_batch_that_do_not_move_stay_and_change_no_draw(shape: tuple[int, ...]) -> None:
    augment, seeds = Augmentation(random_steps()), range(12)
    images = np.random.default_rng(1).integers(0, 256, (12, 9, 7, 3), dtype=np.uint8)
    targets = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    drawn, kept = augment.batch(images, targets, moves_as=None, seeds=seeds)
    np.testing.assert_array_equal(kept, targets)
    moved, _ = augment.batch(images, images[..., 0].copy(), moves_as="mask", seeds=seeds)
    np.testing.assert_array_equal(drawn, moved)
    assert (drawn != images).any()


@pytest.mark.parametrize("given", [{"boxes"}, {"points"}, {"boxes", "points"}])
def test_image_and_mask_move_alike_with_and_without_boxes_and_points(given: set[str]) -> None:
    augment = Augmentation(random_steps())
    more = {name: values for name, values in (("boxes", BOXES), ("points", POINTS)) if name in given}
    for seed in range(12):
        alone = augment(NOISE, NOISE[..., 0].copy(), seed=seed)
        drawn = augment(NOISE, NOISE[..., 0].copy(), seed=seed, **more)
        np.testing.assert_array_equal(drawn.image, alone.image)
        np.testing.assert_array_equal(drawn.mask, alone.mask)
        assert {name for name in ("boxes", "points") if getattr(drawn, name) is not None} == given


def test_boxes_and_points_are_mirrored_by_hand() -> None:
    drawn = Augmentation([albumentations.HorizontalFlip(p=1.0)])(NOISE, seed=0, boxes=BOXES, points=POINTS)
    # Of 7 columns.
    np.testing.assert_allclose(drawn.boxes, [[2, 1, 6, 5, 2], [0, 0, 7, 9, 0]], atol=1e-5)
    np.testing.assert_allclose(drawn.points, [[7, 0], [3, 5], [8, 8.5]], atol=1e-5)


def test_boxes_and_points_that_leave_the_image_are_neither_cut_nor_left_out() -> None:
    half = albumentations.Affine(translate_px={"x": (4, 4), "y": (0, 0)}, p=1.0)
    boxes = np.array([[1, 1, 5, 5, 2], [4, 2, 7, 4, 8], [0, 0, 2, 2, 5]], dtype=float)
    drawn = Augmentation([half])(NOISE, seed=0, boxes=boxes, points=POINTS)
    np.testing.assert_allclose(drawn.boxes, [[5, 1, 9, 5, 2], [8, 2, 11, 4, 8], [4, 0, 6, 2, 5]], atol=1e-5)
    np.testing.assert_allclose(drawn.points, POINTS + np.array([4, 0]), atol=1e-5)


def test_sample_may_have_no_box_and_no_point() -> None:
    drawn = Augmentation(random_steps())(NOISE, seed=0, boxes=np.zeros((0, 5)), points=np.zeros((0, 2)))
    assert drawn.boxes is not None
    assert drawn.points is not None
    assert drawn.boxes.shape == (0, 5)
    assert drawn.points.shape == (0, 2)


def drop_first_point(points: np.ndarray, **_: object) -> np.ndarray:
    return points[1:]


def test_step_that_drops_points_is_refused_with_the_way_out() -> None:
    augment = Augmentation(
        [albumentations.Lambda(name="drop_first_point", keypoints=drop_first_point, p=1.0)]
    )
    text = (
        "augmentation.steps: a step drops or repeats points, so that it is unknown which is which; "
        "set its keypoint_remapping_method to direct and its border_mode to 0, or use another step"
    )
    with refused("augmentation.steps", hint="keypoint_remapping_method", text=text):
        augment(NOISE, seed=0, points=POINTS)


def test_traced_draw_is_that_of_the_call() -> None:
    augment = Augmentation(random_steps())
    for seed in range(12):
        traced, called = (
            augment.draw_with_trace(NOISE, NOISE[..., 0].copy(), seed=seed)[0],
            draw(augment, seed),
        )
        np.testing.assert_array_equal(traced.image, called.image)
        np.testing.assert_array_equal(traced.mask, called.mask)


def test_traced_names_are_those_of_the_steps_that_applied() -> None:
    augment = Augmentation([albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)])
    images = {
        (): NOISE,
        ("HorizontalFlip",): NOISE[:, ::-1],
        ("VerticalFlip",): NOISE[::-1],
        ("HorizontalFlip", "VerticalFlip"): NOISE[::-1, ::-1],
    }
    seen = set()
    for seed in range(30):
        drawn, names = augment.draw_with_trace(NOISE, seed=seed)
        np.testing.assert_array_equal(drawn.image, images[tuple(names)])
        seen.add(tuple(names))
    assert seen == set(images)


def test_traced_name_is_that_of_the_step_inside_a_choice() -> None:
    inner = [albumentations.HorizontalFlip(p=1.0), albumentations.VerticalFlip(p=1.0)]
    augment = Augmentation([albumentations.OneOf(inner, p=1.0)])
    assert {tuple(augment.draw_with_trace(NOISE, seed=seed)[1]) for seed in range(20)} == {
        ("HorizontalFlip",),
        ("VerticalFlip",),
    }


def test_steps_draw_apart_from_each_other() -> None:
    augment = Augmentation(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.VerticalFlip(p=0.5),
            albumentations.Transpose(p=0.5),
        ]
    )
    square = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    counts = Counter(augment(square, seed=seed).image.tobytes() for seed in range(400))
    # The eight symmetries of a square, each 50 times on average; one deviation is sqrt(400 * 7 / 64) = 6.6.
    assert len(counts) == 8
    assert all(abs(count - 50) < 4 * 6.6 for count in counts.values())


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_and_shape_are_kept(channels: int) -> None:
    image = np.ascontiguousarray(NOISE[..., :channels])
    before = image.copy()
    for seed in range(12):
        drawn, mask = Augmentation(random_steps())(image, NOISE[..., 0].copy(), seed=seed)[:2]
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
    np.testing.assert_array_equal(augment(NOISE[..., :1], seed=0).image, NOISE[..., :1])


def test_mask_takes_no_value_between_two_classes() -> None:
    augment = Augmentation([albumentations.Affine(rotate=(-40.0, 40.0), scale=(0.7, 1.4), p=1.0)])
    mask = np.where(NOISE[..., 0] > 127, np.uint8(200), np.uint8(0))
    for seed in range(12):
        moved = augment(NOISE, mask, seed=seed).mask
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

from pipeline.transforms.augmentation import Augmentation, Drawn
print("room", "torch" in sys.modules)
Augmentation([])
"""


def test_albumentations_is_imported_late_and_never_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_ALBUMENTATIONS_UPDATE", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=CODE, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["room False", "imported with 1"]


def test_copied_and_pickled_it_draws_alike() -> None:
    augment = Augmentation(random_steps())
    wanted = [augment(NOISE, seed=seed).image for seed in range(6)]
    for other in (copy.deepcopy(augment), pickle.loads(pickle.dumps(augment))):
        for seed, image in enumerate(wanted):
            np.testing.assert_array_equal(other(NOISE, seed=seed).image, image)


def test_other_compositions_of_the_same_steps_change_no_draw() -> None:
    steps = random_steps()
    augment = Augmentation(steps)
    wanted = [augment(NOISE, seed=seed).image for seed in range(6)]
    others = Augmentation(steps[:2]), albumentations.Compose(steps, seed=3)
    for seed, image in enumerate(wanted):
        others[0](NOISE, seed=seed)
        others[1](image=NOISE)
        np.testing.assert_array_equal(augment(NOISE, seed=seed).image, image)
