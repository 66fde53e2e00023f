"""Batches: each sample once per epoch, and pixels that depend on (seed, epoch, sample) alone."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import batches
from pipeline.data.batches import Batch, EpochBatches, PreparedSplit, seed_of
from pipeline.data.module import PreparedData
from pipeline.data.prepared import Prepared
from pipeline.transforms.augmentation import Augmentation

NUM_TRAIN, NUM_VAL = 11, 5


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Colour images whose masks are their first channel, so that one that stays behind is seen."""
    random = np.random.default_rng(0)
    for split, count in (("train", NUM_TRAIN), ("val", NUM_VAL)):
        images = random.integers(0, 256, (count, 12, 10, 3), dtype=np.uint8)
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_targets.npy", images[..., 0])
    return Prepared(tmp_path)


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


def data_of(
    prepared: Prepared, *, num_workers: int = 0, seed: int = 0, **options: Augmentation
) -> PreparedData:
    augment = options.get("augment")
    return PreparedData(prepared, augment=augment, batch_size=4, num_workers=num_workers, seed=seed)


def draw(data: PreparedData, *, epochs: Sequence[int] = (0,)) -> list[Batch]:
    loader = data.train_dataloader()
    drawn = []
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        drawn += list(loader)
    return drawn


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
    assert max(sizes) <= size
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


def test_batches_are_bit_equal_with_any_number_of_workers(
    prepared: Prepared, random_steps: Augmentation
) -> None:
    runs = [
        draw(data_of(prepared, num_workers=count, augment=random_steps), epochs=[0, 1]) for count in (0, 1, 2)
    ]
    assert [len(run) for run in runs] == [6, 6, 6]
    for alone, one, two in zip(*runs, strict=True):
        for key in alone:
            assert torch.equal(alone[key], one[key])
            assert torch.equal(alone[key], two[key])


def test_augmented_sample_does_not_depend_on_its_batch(
    prepared: Prepared, random_steps: Augmentation
) -> None:
    split = data_of(prepared).split("train", augment=random_steps)
    together, again = split[3, [4, 0, 7]], split[3, [7]]
    for key in ("image", "target", "index"):
        assert torch.equal(together[key][2:], again[key])


def test_every_sample_epoch_and_seed_draws_anew(random_steps: Augmentation) -> None:
    same = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 12, 10, 3), dtype=np.uint8), 6, axis=0)
    drawn = [
        PreparedSplit(same, same[..., 0], augment=random_steps, seed=seed)[epoch, list(range(6))]
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    images = {image.numpy().tobytes() for batch in drawn for image in batch["image"]}
    masks = {mask.numpy().tobytes() for batch in drawn for mask in batch["target"]}
    assert len(images) == 24
    assert len(masks) > 16  # noise, blur and some flips leave masks alone


def test_mask_moves_with_its_image(prepared: Prepared) -> None:
    def shift(image: np.ndarray, mask: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        assert mask is not None
        return np.roll(image, seed % 5, axis=0), np.roll(mask, seed % 5, axis=0)

    batch = data_of(prepared).split("train", augment=shift)[0, [2, 5]]
    assert torch.equal(batch["image"][:, 0], batch["target"])
    expected = np.roll(prepared.images("train")[2], seed_of(0, 0, 2) % 5, axis=0)
    np.testing.assert_array_equal(batch["image"][0].permute(1, 2, 0), expected)


def test_labels_pass_an_augmentation_untouched(random_steps: Augmentation) -> None:
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.array([3, 1, 2, 0], np.uint8)
    batch = PreparedSplit(images, labels, augment=random_steps, seed=0)[0, [2, 0]]
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


def list_shares(
    count: int, world: int, *, seed: int | None, size: int = 3, epoch: int = 0
) -> tuple[list[list[int]], list[int]]:
    """Return the samples of each rank, and how many batches each has."""
    shares, lengths = [], []
    for rank in range(world):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "_place", lambda place=(rank, world): place)
            sampler = EpochBatches(count, batch_size=size, seed=seed)
            sampler.set_epoch(epoch)
            requests = list(sampler)
            assert len(requests) == len(sampler)
        shares.append([index for _, indices in requests for index in indices])
        lengths.append(len(requests))
    return shares, lengths


@settings(deadline=None)
@given(count=st.integers(1, 40), world=st.integers(1, 5), epoch=st.integers(0, 3))
def test_training_shares_are_even_and_together_complete(count: int, world: int, epoch: int) -> None:
    shares, lengths = list_shares(count, world, seed=1, epoch=epoch)
    assert len(set(lengths)) == 1
    assert len({len(share) for share in shares}) == 1
    seen = Counter(index for share in shares for index in share)
    assert set(seen) == set(range(count))
    assert seen.total() - count == -count % world, "more than the tail was filled"
    whole = list_shares(count, 1, seed=1, epoch=epoch)[0][0]
    filled = np.resize(whole, seen.total())
    np.testing.assert_array_equal(np.stack(shares, axis=1).ravel(), filled)


@settings(deadline=None)
@given(count=st.integers(1, 40), world=st.integers(1, 5))
def test_validation_shares_hold_each_sample_once(count: int, world: int) -> None:
    shares, _ = list_shares(count, world, seed=None)
    assert sorted(index for share in shares for index in share) == list(range(count))


def test_place_is_that_of_torch_distributed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batches._place() == (0, 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    assert batches._place() == (2, 3)


@given(numbers=st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3), place=st.integers(0, 2))
def test_seed_depends_on_each_number(numbers: list[int], place: int) -> None:
    other = list(numbers)
    other[place] ^= 1
    assert seed_of(*numbers) == seed_of(*numbers)
    assert seed_of(*numbers) != seed_of(*other)
    assert 0 <= seed_of(*numbers) < 2**32
