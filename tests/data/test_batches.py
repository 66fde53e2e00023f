"""Batches: each sample once per epoch, and pixels that depend on (seed, epoch, sample) alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.batches import Batch, EpochBatches, Mix, PreparedSplit
from pipeline.data.draws import OnTheFly, derive_seed
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.data.targets.kind import load_kind
from pipeline.transforms.augmentation import Augmentation
from pipeline.transforms.mixing import CutMix, Mixed, Mixup

NUM_TRAIN, NUM_VAL = 11, 5
LABEL, MASK = load_kind("label"), load_kind("mask")


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Colour images whose masks are their first channel, so that one that stays behind is seen."""
    random = np.random.default_rng(0)
    for split, count in (("train", NUM_TRAIN), ("val", NUM_VAL)):
        images = random.integers(0, 256, (count, 12, 10, 3), dtype=np.uint8)
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_targets.npy", images[..., 0])
    return Prepared(tmp_path, MASK)


@pytest.fixture(scope="module")
def random_steps() -> Augmentation:
    import albumentations

    return Augmentation(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(rotate=(-20.0, 20.0), translate_percent=(-0.2, 0.2), p=0.9),
            albumentations.OneOf(
                [albumentations.GaussNoise(p=1.0), albumentations.GaussianBlur(p=1.0)], p=0.8
            ),
            albumentations.CoarseDropout(p=0.5),
            albumentations.ElasticTransform(p=0.5),
        ]
    )


def read_split(
    prepared: Prepared, *, augment: Augmentation | None = None, mix: Mix | None = None, seed: int = 0
) -> PreparedSplit:
    draws = None if augment is None else OnTheFly(augment, MASK.moves_as, seed=seed)
    images, targets = prepared.images("train"), prepared.targets("train")
    return PreparedSplit(images, targets, MASK, draws=draws, mix=mix, seed=seed)


def data_of(
    prepared: Prepared,
    *,
    augment: Augmentation | None = None,
    mix: Mix | None = None,
    num_workers: int = 0,
    seed: int = 0,
    first_epoch: int = 0,
) -> PreparedData:
    return PreparedData(
        read_split(prepared, augment=augment, mix=mix, seed=seed),
        PreparedSplit(prepared.images("val"), prepared.targets("val"), MASK),
        batch_size=4,
        num_workers=num_workers,
        seed=seed,
        sampler="shuffle",
        first_epoch=first_epoch,
    )


def draw(data: PreparedData, *, epochs: Sequence[int] = (0,)) -> list[Batch]:
    loader = data.train_dataloader()
    drawn = []
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        drawn += list(loader)
    return drawn


def assert_equal(run: Sequence[Batch], other: Sequence[Batch]) -> None:
    assert len(run) == len(other)
    for batch, batch_again in zip(run, other, strict=True):
        assert batch.keys() == batch_again.keys()
        for key, value in batch.items():
            assert torch.equal(value, batch_again[key]), key


def order_of(drawn: Sequence[Batch]) -> list[int]:
    return torch.cat([batch["index"] for batch in drawn]).tolist()


@settings(deadline=None)
@given(
    count=st.integers(1, 50), size=st.integers(1, 9), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 99)
)
def test_every_sample_comes_exactly_once_per_epoch(count: int, size: int, seed: int, epoch: int) -> None:
    sampler = EpochBatches(count, batch_size=size, seed=seed)
    sampler.set_epoch(epoch)
    requests = list(sampler)
    assert len(requests) == len(sampler)
    assert {request[0] for request in requests} == {epoch}
    assert sorted(index for _, indices in requests for index in indices) == list(range(count))
    sizes = [len(indices) for _, indices in requests]
    assert max(sizes) <= size + (size == 2 and count > 1 and count % 2)
    assert min(sizes) > 1 or size == 1 or count == 1, "batch norm fails on one image"
    assert max(sizes) - min(sizes) <= 1, "batches are as equal as can be"


def test_order_depends_on_seed_and_epoch_and_nothing_else(prepared: Prepared) -> None:
    orders = {
        (seed, epoch): order_of(draw(data_of(prepared, seed=seed), epochs=[epoch]))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len({tuple(order) for order in orders.values()}) == 4
    torch.manual_seed(7)
    np.random.seed(7)
    for (seed, epoch), order in orders.items():
        assert order_of(draw(data_of(prepared, seed=seed), epochs=[9, epoch])[3:]) == order


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")  # on a machine of fewer cores
@pytest.mark.parametrize("mix", [None, Mixup(1.0), CutMix(1.0)], ids=["alone", "mixup", "cutmix"])
def test_batches_are_bit_equal_with_any_number_of_workers(
    mix: Mix | None, prepared: Prepared, random_steps: Augmentation
) -> None:
    runs = [
        draw(data_of(prepared, num_workers=count, augment=random_steps, mix=mix), epochs=[0, 1])
        for count in (0, 1, 2, 4)
    ]
    assert len(runs[0]) == 6
    assert ("partner" in runs[0][0]) == (mix is not None)
    for run in runs[1:]:
        assert_equal(run, runs[0])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resumed_loader_goes_on_as_if_never_interrupted(
    num_workers: int, prepared: Prepared, random_steps: Augmentation
) -> None:
    options = {"augment": random_steps, "mix": Mixup(1.0), "num_workers": num_workers}
    whole = draw(data_of(prepared, **options), epochs=[0, 1, 2])
    resumed = data_of(prepared, first_epoch=2, **options)
    assert_equal(list(resumed.train_dataloader()), whole[6:])  # before anybody tells the epoch
    assert_equal(draw(resumed, epochs=[2]), whole[6:])


@pytest.mark.parametrize("mix", [None, Mixup(1.0)], ids=["alone", "mixed"])
def test_every_epoch_and_seed_draws_anew(
    mix: Mix | None, prepared: Prepared, random_steps: Augmentation
) -> None:
    drawn = [
        read_split(prepared, augment=random_steps, mix=mix, seed=seed)[epoch, [0, 1, 2]]
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len({batch["image"].numpy().tobytes() for batch in drawn}) == 4
    if mix is not None:
        assert len({float(batch["weight"]) for batch in drawn}) == 4


@pytest.mark.parametrize("mixing", [Mixup(1.0), CutMix(1.0)], ids=["mixup", "cutmix"])
def test_mixed_batch_is_what_the_mixing_makes_of_the_augmented_one(
    mixing: Mix, prepared: Prepared, random_steps: Augmentation
) -> None:
    indices = [4, 0, 7]
    alone = read_split(prepared, augment=random_steps, seed=5)[3, indices]
    mixed = read_split(prepared, augment=random_steps, mix=mixing, seed=5)[3, indices]
    pixels = alone["image"].permute(0, 2, 3, 1).numpy()
    wanted = Mixed(*mixing(pixels, alone["target"].numpy(), are_masks=True, seed=derive_seed(5, 3, *indices)))
    np.testing.assert_array_equal(mixed["image"].permute(0, 2, 3, 1), wanted.images)
    np.testing.assert_array_equal(mixed["target"], wanted.targets)
    np.testing.assert_array_equal(mixed["partner"], wanted.partners)
    assert mixed["weight"].shape == ()
    assert float(mixed["weight"]) == pytest.approx(wanted.weight)
    assert mixed["index"].tolist() == indices


def test_pasted_labels_are_weighted_where_pasted_masks_are_not(prepared: Prepared) -> None:
    images, labels = prepared.images("train"), np.arange(NUM_TRAIN, dtype=np.uint8)
    together = PreparedSplit(images, labels, LABEL, mix=CutMix(1.0))[0, [4, 0, 7]]
    assert together["target"].tolist() == [4, 0, 7]
    assert sorted(together["partner"].tolist()) == [0, 4, 7]
    assert 0 < float(together["weight"]) < 1
    moved = read_split(prepared, mix=CutMix(1.0))[0, [4, 0, 7]]
    assert torch.equal(moved["target"], moved["image"][:, 0])
    assert float(moved["weight"]) == 1


def test_augmented_sample_does_not_depend_on_its_batch(
    prepared: Prepared, random_steps: Augmentation
) -> None:
    split = read_split(prepared, augment=random_steps)
    together, again = split[3, [4, 0, 7]], split[3, [7]]
    for key in ("image", "target", "index"):
        assert torch.equal(together[key][2:], again[key])


def test_mask_moves_with_its_image(prepared: Prepared) -> None:
    class Shift:
        def batch(
            self, images: np.ndarray, targets: np.ndarray, *, moves_as: str | None, seeds: Sequence[int]
        ) -> tuple[np.ndarray, np.ndarray]:
            assert moves_as == "mask"
            return self.shifted(images, seeds), self.shifted(targets, seeds)

        def shifted(self, stack: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
            return np.stack([np.roll(one, seed % 5, axis=0) for one, seed in zip(stack, seeds, strict=True)])

    draws = OnTheFly(Shift(), MASK.moves_as, seed=0)
    split = PreparedSplit(prepared.images("train"), prepared.targets("train"), MASK, draws=draws)
    batch = split[0, [2, 5]]
    assert torch.equal(batch["image"][:, 0], batch["target"])
    expected = np.roll(prepared.images("train")[2], derive_seed(0, 0, 2) % 5, axis=0)
    np.testing.assert_array_equal(batch["image"][0].permute(1, 2, 0), expected)


@pytest.mark.parametrize(("sides", "top", "left"), [((12, 10), 0, 0), ((6, 10), 3, 0), ((7, 5), 2, 2)])
def test_images_that_are_not_augmented_show_their_centre(
    sides: tuple[int, int], top: int, left: int, prepared: Prepared
) -> None:
    images = prepared.images("val")
    batch = PreparedSplit(images, np.zeros(NUM_VAL, np.uint8), LABEL, sides=sides)[0, [3, 1]]
    wanted = images[[3, 1], top : top + sides[0], left : left + sides[1]]
    np.testing.assert_array_equal(batch["image"].permute(0, 2, 3, 1), wanted)
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)


def test_labels_pass_an_augmentation_untouched(random_steps: Augmentation) -> None:
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.array([3, 1, 2, 0], np.uint8)
    draws = OnTheFly(random_steps, LABEL.moves_as, seed=0)
    batch = PreparedSplit(images, labels, LABEL, draws=draws)[0, [2, 0]]
    assert batch["target"].tolist() == [2, 3]
    assert batch["image"].shape == (2, 1, 8, 8)


def test_validation_is_in_order_and_not_augmented(prepared: Prepared, random_steps: Augmentation) -> None:
    drawn = list(data_of(prepared, augment=random_steps).val_dataloader())
    assert order_of(drawn) == list(range(NUM_VAL))
    pixels = torch.cat([batch["image"] for batch in drawn]).permute(0, 2, 3, 1)
    np.testing.assert_array_equal(pixels, prepared.images("val"))
    np.testing.assert_array_equal(torch.cat([batch["target"] for batch in drawn]), prepared.targets("val"))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_images_are_bytes_with_channels_last_in_memory(
    num_workers: int, prepared: Prepared, random_steps: Augmentation
) -> None:
    for batch in draw(data_of(prepared, num_workers=num_workers, augment=random_steps)):
        image, target = batch["image"], batch["target"]
        assert image.shape[1:] == (3, 12, 10)
        assert target.shape == (len(image), 12, 10)
        assert image.dtype == target.dtype == torch.uint8
        assert image.is_contiguous(memory_format=torch.channels_last)
        assert not image.is_contiguous()
