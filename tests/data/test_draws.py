"""Draws: on the fly or ahead of time, they depend on (seed, epoch, sample) and nothing else."""

import shutil
from collections import namedtuple
from pathlib import Path

import albumentations
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.data.batches import PreparedSplit
from pipeline.data.draws import OnTheFly, Precomputed, derive_seed, write_draws
from pipeline.data.targets.kind import TargetKind, load_kind
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.mixing import Mixup
from tests.refusals import refused

NUM_IMAGES, COPIES = 7, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 12, 10, 3), dtype=np.uint8)
LABELS = np.arange(NUM_IMAGES, dtype=np.uint8)
MASKS = IMAGES[..., 0].copy()  # a mask that stays behind its image is seen
BOTH = pytest.mark.parametrize("targets", [LABELS, MASKS], ids=["labels", "masks"])
ALL = list(range(NUM_IMAGES))
STEPS = {
    "same": [albumentations.HorizontalFlip(p=0.5), albumentations.Affine(rotate=(-30.0, 30.0), p=1.0)],
    "smaller": [albumentations.RandomCrop(height=6, width=5, p=1.0)],
}
Usage = namedtuple("Usage", "total used free")

Array = NDArray[np.uint8]


def kind_of(targets: Array) -> TargetKind:
    return load_kind("mask" if targets.ndim > 1 else "label")


def on_the_fly(targets: Array, steps: str = "same", *, seed: int = 0) -> OnTheFly:
    return OnTheFly(Augmentation(STEPS[steps]), kind_of(targets).moves_as, seed=seed)


def precomputed(folder: Path, targets: Array, steps: str = "same", *, copies: int = COPIES) -> Precomputed:
    write_draws(on_the_fly(targets, steps), IMAGES, targets, folder, copies=copies)
    return Precomputed(folder)


def assert_equal(one: tuple[Array, Array], other: tuple[Array, Array]) -> None:
    for part, part_again in zip(one, other, strict=True):
        np.testing.assert_array_equal(part, part_again)
        assert part.dtype == part_again.dtype == np.uint8


@given(numbers=st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3), place=st.integers(0, 2))
def test_seed_depends_on_each_number(numbers: list[int], place: int) -> None:
    other = list(numbers)
    other[place] ^= 1
    assert derive_seed(*numbers) == derive_seed(*numbers)
    assert derive_seed(*numbers) != derive_seed(*other)
    assert 0 <= derive_seed(*numbers) < 2**32


def test_seed_depends_on_the_order_of_the_numbers() -> None:
    assert len({derive_seed(1, 2, 3), derive_seed(3, 2, 1), derive_seed(2, 1, 3)}) == 3


@BOTH
def test_draw_of_a_sample_does_not_depend_on_its_batch(targets: Array) -> None:
    together = on_the_fly(targets).batch(IMAGES, targets, 2, [5, 0, 3])
    alone = on_the_fly(targets).batch(IMAGES, targets, 2, [3])
    assert_equal((together[0][2:], together[1][2:]), alone)


def test_every_seed_epoch_and_sample_draws_anew() -> None:
    same, masks = np.repeat(IMAGES[:1], 6, axis=0), np.repeat(MASKS[:1], 6, axis=0)
    drawn = [
        pair
        for seed in (0, 1)
        for epoch in (0, 1)
        for pair in zip(*on_the_fly(MASKS, seed=seed).batch(same, masks, epoch, ALL[:6]), strict=True)
    ]
    unlike, masks_unlike = ({part.tobytes() for part in parts} for parts in zip(*drawn, strict=True))
    assert len(unlike) == 24
    assert len(masks_unlike) > 16  # turned by nearly the same angle, two may agree


@BOTH
@pytest.mark.parametrize("steps", STEPS)
def test_precomputed_draws_are_those_on_the_fly_and_then_come_again(
    steps: str, targets: Array, tmp_path: Path
) -> None:
    made, fresh = precomputed(tmp_path, targets, steps), on_the_fly(targets, steps)
    for epoch in range(2 * COPIES + 1):
        wanted = fresh.batch(IMAGES, targets, epoch % COPIES, ALL)
        assert_equal(made.batch(IMAGES, targets, epoch, ALL), wanted)
    first, second = (made.batch(IMAGES, targets, epoch, ALL)[0] for epoch in (0, 1))
    assert (first != second).any()


@BOTH
def test_precomputed_draws_come_in_the_order_asked_for(targets: Array, tmp_path: Path) -> None:
    asked = [5, 0, 3]
    made = precomputed(tmp_path, targets).batch(IMAGES, targets, 1, asked)
    assert_equal(made, on_the_fly(targets).batch(IMAGES, targets, 1, asked))


@BOTH
def test_split_with_precomputed_draws_is_that_on_the_fly(targets: Array, tmp_path: Path) -> None:
    splits = [
        PreparedSplit(IMAGES, targets, kind_of(targets), draws=draws, mix=Mixup(1.0), seed=3)
        for draws in (precomputed(tmp_path, targets), on_the_fly(targets))
    ]
    for request in ((0, [1, 2]), (2, [6, 0, 4])):
        made, fresh = (split[request] for split in splits)
        assert made.keys() == fresh.keys()
        for key, value in made.items():
            assert value.equal(fresh[key]), key  # type: ignore[literal-required]


@BOTH
def test_what_is_augmented_stays_as_it_is(targets: Array) -> None:
    images, before = IMAGES.copy(), targets.copy()
    on_the_fly(targets).batch(images, before, 0, ALL)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(before, targets)


# images of 12 x 10 x 3 or 6 x 5 x 3 bytes, masks of 12 x 10 or 6 x 5; 3 copies of 7
NEEDED = [("same", LABELS, 7560), ("same", MASKS, 10080), ("smaller", LABELS, 1890), ("smaller", MASKS, 2520)]


@pytest.mark.parametrize(("steps", "targets", "needed"), NEEDED)
def test_needed_disk_is_told_beforehand(
    steps: str,
    targets: Array,
    needed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, 2_000_000))
    precomputed(tmp_path, targets, steps)
    said = f"augment: 3 drawn copies of 7 training images take {needed:,} bytes, the disk has 2,000,000\n"
    assert capsys.readouterr().err == said
    sizes = {file.name: np.load(file, mmap_mode="r").nbytes for file in tmp_path.iterdir()}
    assert set(sizes) == {"images.npy"} | ({"targets.npy"} if targets.ndim > 1 else set())
    assert sum(sizes.values()) == needed


@pytest.mark.parametrize(("free", "is_enough"), [(8400, True), (8399, False)])
def test_copies_take_nine_tenths_of_the_free_disk_at_most(
    free: int,
    is_enough: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, free))
    if is_enough:  # 7560 is nine tenths of 8400
        precomputed(tmp_path, LABELS)
        return
    text = (
        "augmentation.copies: 3 drawn copies of 7 training images take 7,560 bytes, the disk has 8,399; "
        "make fewer copies, free some space, or set it to null"
    )
    with refused("augmentation.copies", text=text):
        precomputed(tmp_path, LABELS)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""
