"""Batches of some images of each of some classes: their promise of (seed, epoch), and what they leave out."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.data import batches
from pipeline.data.batches import EpochBatches, PreparedSplit
from pipeline.data.module import PreparedData
from pipeline.data.sampling import batches_per_class, check_per_class, count_batches
from pipeline.data.targets.kind import load_kind
from pipeline.declaration.composition import compose
from tests.refusals import refused

labels_of = st.lists(st.integers(0, 6), min_size=1, max_size=60).map(lambda each: np.array(each, np.int32))
LABELS = np.repeat(np.arange(5, dtype=np.int32), (9, 4, 6, 2, 5))
SIZES = {"batch_size": 6, "per_class": 3}


def sampler(labels: NDArray[np.int32] = LABELS, *, seed: int = 0, epoch: int = 0) -> EpochBatches:
    made = EpochBatches(len(labels), seed=seed, labels=labels, **SIZES)
    made.set_epoch(epoch)
    return made


@settings(deadline=None)
@given(labels=labels_of, seed=st.integers(0, 99), num_classes=st.integers(1, 4), per_class=st.integers(2, 5))
def test_each_batch_has_so_many_images_of_so_many_classes(
    labels: NDArray[np.int32], seed: int, num_classes: int, per_class: int
) -> None:
    made = batches_per_class(
        labels, np.random.default_rng(seed), num_classes=num_classes, per_class=per_class
    )
    assert len(made) == count_batches(labels, num_classes=num_classes, per_class=per_class)
    draws = np.concatenate([*made, np.empty(0, np.int64)])
    assert len(set(draws.tolist())) == len(draws)
    for batch in made:
        counts = Counter(labels[batch % len(labels)].tolist())
        assert list(counts.values()) == [per_class] * num_classes
    repeated = draws[draws >= len(labels)] % len(labels)
    rare = [name for name, count in Counter(labels.tolist()).items() if count < per_class]
    assert set(labels[repeated].tolist()) <= set(rare)


def test_what_fits_into_batches_is_in_them() -> None:
    """Portions of 3: 3, 1, 2, 1 and 1, of which batches of two classes take all."""
    made = batches_per_class(LABELS, np.random.default_rng(0), num_classes=2, per_class=3)
    assert len(made) == 4
    assert Counter(LABELS[np.concatenate(made) % len(LABELS)].tolist()) == {0: 9, 1: 3, 2: 6, 3: 3, 4: 3}


def test_every_image_comes_in_some_epoch() -> None:
    epochs = [draws for epoch in range(30) for _, draws in sampler(epoch=epoch)]
    assert set(np.concatenate(epochs) % len(LABELS)) == set(range(len(LABELS)))


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            torch.manual_seed(seed + epoch)
            orders[seed, epoch] = list(sampler(seed=seed, epoch=epoch))
            assert list(sampler(seed=seed, epoch=epoch)) == orders[seed, epoch]
    assert len({str(order) for order in orders.values()}) == 4


@settings(deadline=None)
@given(world=st.integers(1, 5), epoch=st.integers(0, 3))
def test_processes_together_train_on_the_batches_of_one(world: int, epoch: int) -> None:
    shares = []
    for rank, size in [(0, 1), *((rank, world) for rank in range(world))]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "_place", lambda place=(rank, size): place)
            made = sampler(epoch=epoch)
            shares.append([draws for _, draws in made])
            assert len(shares[-1]) == len(made)
    alone, *together = shares
    assert len({len(share) for share in together}) == 1
    dealt = [batch for place in zip(*together, strict=True) for batch in place]
    assert dealt == [alone[place % len(alone)] for place in range(len(dealt))]
    assert len(dealt) - len(alone) < world


def test_data_has_batches_of_identities_and_validates_in_order() -> None:
    images = np.zeros((len(LABELS), 4, 4, 1), np.uint8)
    split = PreparedSplit(images, LABELS, load_kind("identity"))
    data = PreparedData(
        split, split, batch_size=6, num_workers=0, seed=0, sampler={"per_class": 3}, first_epoch=1
    )
    targets = [batch["target"] for batch in data.train_dataloader()]
    assert [sorted(Counter(each.tolist()).values()) for each in targets] == [[3, 3]] * 4
    drawn = torch.cat([batch["index"] for batch in data.val_dataloader()])
    assert drawn.tolist() == list(range(len(LABELS)))


@pytest.mark.parametrize(
    ("num_classes", "per_class", "path", "got", "text"),
    [
        (
            *(2, 10, "trainer.sampler.per_class", 10),
            "trainer.sampler.per_class: no class or identity of the training split has so many images, the largest has "
            "9, got 10; choose a smaller number, or add images",
        ),
        (
            *(6, 2, "trainer.batch_size", 12),
            "trainer.batch_size: batches have 2 images each of 6 classes or identities, and the training split has 5 "
            "of these, got 12; set it to at most 10, or add images",
        ),
    ],
)
def test_batches_that_no_data_can_fill_are_refused(
    num_classes: int, per_class: int, path: str, got: int, text: str
) -> None:
    with refused(path, got=got, hint="or add images", text=text):
        check_per_class(LABELS, num_classes=num_classes, per_class=per_class)


def test_classes_that_must_repeat_images_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    check_per_class(LABELS, num_classes=2, per_class=5)
    assert "with fewer than 5 images: 2 of 5; some of their images are repeated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "path", "got"),
    [
        (["trainer.sampler={classes: 4}"], "trainer.sampler", {"classes": 4}),
        (["trainer.sampler={per_class: 1}"], "trainer.sampler.per_class", 1),
        (["trainer.sampler={per_class: 4}", "trainer.batch_size=10"], "trainer.batch_size", 10),
        (["trainer.sampler={per_class: 4}", "trainer.batch_size=4"], "trainer.batch_size", 4),
        (["trainer.sampler={per_class: 4}", "experiment=brain_unet"], "trainer.sampler", {"per_class": 4}),
    ],
)
def test_settings_that_make_no_batches_are_refused(overrides: list[str], path: str, got: object) -> None:
    with refused(path, got=got):
        compose([each.replace(" ", "") for each in overrides])


def test_classes_fill_batches_as_identities_do() -> None:
    declaration = compose(["trainer.sampler={per_class:8}"])
    assert declaration.trainer.sampler == {"per_class": 8}
