"""The balanced sampler: classes equally often, the promise of (seed, epoch), and images that are augmented anew."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pipeline.data import batches
from pipeline.data.batches import Batch, EpochBatches, PreparedSplit
from pipeline.data.draws import OnTheFly, Precomputed, write_draws
from pipeline.data.module import PreparedData
from pipeline.data.sampling import balanced
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose
from pipeline.tasks.demands import load_demands
from pipeline.transforms.augmentation import Augmentation
from tests.refusals import refused
from tests.tasks.rows import COMPOSED, ROWS

LABEL = load_kind("label")
COUNTS = (12, 3, 1)  # images of each class
LABELS = np.repeat(np.arange(3, dtype=np.uint8), COUNTS)
IMAGES = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), 12, 10, 3), dtype=np.uint8)
STEPS = [albumentations.Affine(rotate=(-30.0, 30.0), p=1.0), albumentations.GaussNoise(p=1.0)]

labels_of = st.lists(st.integers(0, 6), min_size=1, max_size=60).map(lambda each: np.array(each, np.uint8))


def data(*, num_workers: int = 0, seed: int = 0, first_epoch: int = 0) -> PreparedData:
    draws = OnTheFly(Augmentation(STEPS), LABEL.moves_as, seed=seed)
    return PreparedData(
        PreparedSplit(IMAGES, LABELS, LABEL, draws=draws, seed=seed),
        PreparedSplit(IMAGES, LABELS, LABEL),
        batch_size=5,
        num_workers=num_workers,
        seed=seed,
        sampler="balanced",
        first_epoch=first_epoch,
    )


def run(loader: DataLoader[Batch], *epochs: int) -> Iterator[Batch]:
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader


def assert_equal(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        for key, value in one.items():
            assert torch.equal(value, other[key]), key  # type: ignore[arg-type, literal-required]


@given(labels=labels_of, seed=st.integers(0, 99))
def test_epoch_has_as_many_draws_as_images_and_classes_as_equal_as_can_be(
    labels: NDArray[np.uint8], seed: int
) -> None:
    draws = balanced(labels, np.random.default_rng(seed))
    assert len(draws) == len(labels) == len(set(draws.tolist()))
    drawn = Counter(labels[draws % len(labels)].tolist())
    counts = [drawn[name] for name in set(labels.tolist())]
    assert max(counts) - min(counts) <= 1
    for name in set(labels.tolist()):  # nothing comes again before all others of its class have come
        times = Counter((draws % len(labels))[labels[draws % len(labels)] == name].tolist())
        seen = [times[index] for index in np.flatnonzero(labels == name).tolist()]
        assert max(seen) - min(seen) <= 1
        repeats = sorted((draws // len(labels))[labels[draws % len(labels)] == name].tolist())
        assert repeats == sorted(repeat for count in seen for repeat in range(count))


def test_every_class_is_as_probable_and_so_is_every_image_of_a_class() -> None:
    """Over many epochs, an image of a class of n comes N / (K n) times per epoch."""
    epochs = 3000
    counts = np.zeros(len(LABELS))
    for epoch in range(epochs):
        draws = balanced(LABELS, np.random.default_rng([0, epoch]))
        counts += np.bincount(draws % len(LABELS), minlength=len(LABELS))
    wanted = np.array([len(LABELS) / (3 * COUNTS[label]) for label in LABELS])
    np.testing.assert_allclose(counts / epochs, wanted, rtol=0.06)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            torch.manual_seed(seed + epoch)
            np.random.seed(seed)
            sampler = EpochBatches(len(LABELS), batch_size=5, seed=seed, labels=LABELS)
            sampler.set_epoch(epoch)
            orders[seed, epoch] = list(sampler)
            assert list(sampler) == orders[seed, epoch]
    assert len({str(order) for order in orders.values()}) == 4


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of fewer cores
def test_batches_are_bit_equal_with_any_number_of_workers() -> None:
    runs = [list(run(data(num_workers=count).train_dataloader(), 0, 1)) for count in (0, 1, 2)]
    assert len(runs[0]) == 2 * 4
    for other in runs[1:]:
        assert_equal(runs[0], other)


def test_resumed_run_draws_as_an_uninterrupted_one() -> None:
    whole = list(run(data().train_dataloader(), 0, 1, 2))
    resumed = data(first_epoch=2).train_dataloader()
    assert_equal(whole[8:], list(resumed))


@settings(deadline=None)
@given(labels=labels_of, world=st.integers(1, 3), epoch=st.integers(0, 3))
def test_processes_together_draw_what_one_draws(labels: NDArray[np.uint8], world: int, epoch: int) -> None:
    shares = []
    for rank, size in [(0, 1), *((rank, world) for rank in range(world))]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "_place", lambda place=(rank, size): place)
            sampler = EpochBatches(len(labels), batch_size=3, seed=1, labels=labels)
            sampler.set_epoch(epoch)
            shares.append([draw for _, draws in sampler for draw in draws])
    alone, *together = shares
    assert len({len(share) for share in together}) == 1
    wanted = np.resize(alone, sum(map(len, together)))
    np.testing.assert_array_equal(np.stack(together, axis=1).ravel(), wanted)


def test_image_that_comes_again_in_an_epoch_is_augmented_anew(tmp_path: Path) -> None:
    (rare,) = np.flatnonzero(LABELS == 2)
    fresh = OnTheFly(Augmentation(STEPS), None, seed=0)
    draws = [int(rare) + repeat * len(LABELS) for repeat in range(5)]
    drawn, labels = fresh.batch(IMAGES, LABELS, 0, draws)
    assert len({image.tobytes() for image in drawn}) == 5
    assert set(labels.tolist()) == {2}
    first, _ = fresh.batch(IMAGES, LABELS, 0, [int(rare)])
    np.testing.assert_array_equal(drawn[:1], first)
    write_draws(fresh, IMAGES, LABELS, tmp_path, copies=2)
    again, _ = Precomputed(tmp_path).batch(IMAGES, LABELS, 0, draws[:3])
    later, _ = fresh.batch(IMAGES, LABELS, 1, [int(rare)])
    np.testing.assert_array_equal(again, np.concatenate([first, later, first]))


def test_batch_names_the_images_of_its_draws() -> None:
    split = PreparedSplit(IMAGES, LABELS, LABEL)
    batch = split[0, [3 + 2 * len(LABELS), 15]]
    assert batch["index"].tolist() == [3, 15]
    assert batch["target"].tolist() == [0, 2]


def test_validation_images_come_once_and_in_order() -> None:
    drawn = torch.cat([batch["index"] for batch in data().val_dataloader()])
    assert drawn.tolist() == list(range(len(LABELS)))


@pytest.mark.parametrize("name", sorted(ROWS))
def test_task_is_labelled_only_if_its_targets_are_classes_of_images(name: str) -> None:
    demands = load_demands(compose(COMPOSED[name]).task)
    inner = {"labels": (3,), "mask": (3, 3), "boxes": (1, 6), "points": (3, 3), "image": (0,)}
    targets = np.zeros((2, *inner.get(demands.target, ())), np.uint8)
    assert demands.is_labelled == (load_kind(demands.target).labels(targets) is not None)


def test_sampler_that_balances_classes_is_refused_for_masks() -> None:
    allowed = "shuffle for segmentation, whose images do not have one class each"
    text = f"trainer.sampler must be {allowed}, got 'balanced'"
    with refused("trainer.sampler", got="balanced", allowed=allowed, text=text):
        compose(["experiment=brain_unet", "trainer.sampler=balanced"])


def test_unknown_sampler_is_refused() -> None:
    with refused("trainer.sampler", got="weighted", allowed=("shuffle", "balanced")):
        compose(["trainer.sampler=weighted"])
