"""Degraded images: as declared, the same for an image wherever it is, and drawn anew in each epoch of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.archive import opened
from pipeline.data.batches import PreparedSplit, TargetMaker
from pipeline.data.degrade_facts import degraded_shape
from pipeline.data.degrading import Degrading, cut_to_multiple, resample
from pipeline.data.draws import OnTheFly
from pipeline.data.facts import Facts
from pipeline.data.prepared import Prepared, write_prepared
from pipeline.data.sources import Sample, check_source, find_target
from pipeline.data.targets.kind import load_kind
from pipeline.errors import ConfigError
from pipeline.tasks.restoration.demands import DEMANDS
from pipeline.transforms.augmentation import Augmentation
from tests.makers import data_section, encode, write_class_folders, write_files
from tests.refusals import refused

KIND = load_kind("image")
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 12, 16, 3), dtype=np.uint8)
UNTOUCHED = np.zeros((4, 0), np.uint8)


def facts(root: object = "mine", **changes: Any) -> Facts:
    section = {"format": "images", "classes": [], "degrade": {"noise": 25}, **changes}
    return Facts(**data_section(root, **section))


def split(seed: int | None, draws: Any = None) -> PreparedSplit:
    return PreparedSplit(IMAGES, UNTOUCHED, KIND, draws=draws, maker=TargetMaker(Degrading(25, 1), seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_has_the_declared_deviation_and_targets_are_the_images(channels: int) -> None:
    images = np.full((2, 300, 200, channels), 128, np.uint8)
    inputs, targets = Degrading(20, 1).make(images, [1, 2])
    assert inputs.dtype == np.uint8
    assert np.array_equal(targets, images.transpose(0, 3, 1, 2))
    errors = inputs.astype(float) - 128
    assert errors.std() == pytest.approx(20, rel=0.01)  # rounding adds 1/12 to the variance
    assert abs(errors.mean()) < 0.2
    assert np.abs(np.corrcoef(errors[0].ravel(), errors[1].ravel())[0, 1]) < 0.02


def test_noise_is_clipped_and_none_leaves_images_as_they_are() -> None:
    white = np.full((1, 50, 50, 1), 255, np.uint8)
    assert Degrading(25, 1).make(white, None)[0].max() == 255
    assert np.array_equal(Degrading(0, 1).make(IMAGES, None)[0], IMAGES)


def test_fewer_pixels_are_those_of_pillows_bicubic_filter() -> None:
    inputs, targets = Degrading(0, 4).make(IMAGES, None)
    assert inputs.shape == (4, 3, 4, 3)
    for image, made in zip(IMAGES, inputs, strict=True):
        assert np.array_equal(
            np.asarray(Image.fromarray(image).resize((4, 3), Image.Resampling.BICUBIC)), made
        )
    assert np.array_equal(targets, IMAGES.transpose(0, 3, 1, 2))
    both = Degrading(10, 4).make(IMAGES, None)[0]
    assert both.shape == inputs.shape
    assert not np.array_equal(both, inputs)
    assert np.array_equal(resample(IMAGES, 12, 16), IMAGES)


def test_fixed_noise_depends_on_the_image_alone() -> None:
    whole = split(None)[0, [0, 1, 2, 3]]["image"].numpy()
    alone = split(None)[7, [2]]["image"].numpy()
    assert np.array_equal(whole[2], alone[0])
    errors = whole - IMAGES.transpose(0, 3, 1, 2).astype(int)
    assert not np.array_equal(errors[0], errors[1])


def test_noise_of_training_is_drawn_from_seed_epoch_and_sample() -> None:
    first, again, later = (split(5)[epoch, [1, 3]]["image"] for epoch in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(later)
    assert not first.equal(split(6)[0, [1, 3]]["image"])
    assert first[1].equal(split(5)[0, [3]]["image"][0])
    repeated = split(5)[0, [1, 5]]["image"]  # 5 is sample 1 once more
    assert not repeated[0].equal(repeated[1])


def test_target_is_moved_with_its_image() -> None:
    from albumentations import HorizontalFlip

    draws = OnTheFly(Augmentation([HorizontalFlip(p=1.0)]), KIND.moves_as, 0)
    batch = split(0, draws)[0, [2]]
    assert np.array_equal(batch["target"][0].numpy(), IMAGES[2, :, ::-1].transpose(2, 0, 1))
    error = batch["image"].float() - batch["target"].float()
    assert 10 < float(error.std()) < 30


def test_factor_that_does_not_divide_a_crop_is_refused() -> None:
    with refused(
        "data.degrade.factor", got=2, hint="choose other sides for the crops of augmentation"
    ) as caught:
        Degrading(0, 2).make(IMAGES[:, :11], None)
    assert caught.value.allowed == "a divisor of rows and columns of the images, 11 x 16"
    assert cut_to_multiple(IMAGES[0, :11, :15], 2).shape == (10, 14, 3)


@pytest.mark.parametrize(
    ("degrade", "path", "got"),
    [
        ({}, "data.degrade", {}),
        ({"blur": 2}, "data.degrade.blur", "blur"),
        ({"noise": -1}, "data.degrade.noise", -1),
        ({"noise": 256}, "data.degrade.noise", 256),
        ({"factor": 1}, "data.degrade.factor", 1),
        ({"factor": 1.5}, "data.degrade.factor", 1.5),
        ({"factor": 3}, "data.shape", [1, 8, 8]),
    ],
)
def test_way_to_degrade_that_cannot_be_is_refused(degrade: dict[str, float], path: str, got: Any) -> None:
    with refused(path, got=got):
        facts(degrade=degrade)


def test_any_format_has_images_as_targets_if_they_are_degraded() -> None:
    assert find_target(facts(format="class_folders")) == "image"
    assert find_target(Facts(**data_section("mine", format="class_folders"))) == "label"
    assert degraded_shape(facts(degrade={"factor": 4})) == (1, 2, 2)
    assert degraded_shape(facts()) == (1, 8, 8)


def test_only_restoration_needs_a_way_to_degrade_images() -> None:
    check_source(facts(degrade=None))
    DEMANDS.check(facts())
    with refused(
        "data.degrade",
        hint="set it to {noise: 25} for noise, {factor: 2} for half the rows and columns, or both",
    ):
        DEMANDS.check(facts(degrade=None))
    DEMANDS.check(
        facts(format="class_folders", classes=["cat", "dog"], degrade=None)
    )  # it has another kind of target


def test_images_without_labels_have_no_classes() -> None:
    with refused("data.classes", got=["cat"]):
        check_source(facts(classes=["cat"]))


def test_nothing_is_stored_and_a_picture_is_shown(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "data.zip", classes=["cat"], num_images=2)
    (tmp_path / "out").mkdir()
    found = facts(tmp_path / "data.zip")
    write_prepared(found, tmp_path / "out", data_digest="sha256:0")
    prepared = Prepared.open(tmp_path / "out", found)
    assert prepared.has("train")
    assert prepared.targets("train").shape == (2, 0)
    assert prepared.images("train").shape == (2, 8, 8, 1)
    target = split(None)[0, [1]]["target"][0]
    picture = KIND.picture(target)
    assert picture is not None
    assert np.array_equal(picture, IMAGES[1])
    with opened(tmp_path / "data.zip") as archive:
        assert KIND.read(Sample("a.png", "train", 0), archive, found, image=b"").shape == (0,)


def test_image_that_is_smaller_than_the_patch_is_refused_by_name(tmp_path: Path) -> None:
    files = {f"{part}/{part}.png": encode(np.full((9, 20), 5, np.uint8)) for part in ("train", "val", "test")}
    files["train/small.png"] = encode(np.full((7, 20), 6, np.uint8))
    write_files(tmp_path / "data", files)
    (tmp_path / "out").mkdir()
    found = facts(tmp_path / "data", resize="cut", allow_duplicates=True)
    with pytest.raises(
        ConfigError, match=r"small\.png: has 7 x 20 pixels, fewer than the 8 x 8 of data\.shape"
    ):
        write_prepared(found, tmp_path / "out", data_digest="sha256:0")
