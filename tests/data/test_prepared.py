"""Prepared data: arrays and manifest agree with the archive; what cannot be used is refused."""

import csv
import shutil
import threading
import tracemalloc
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data import prepared, threads
from pipeline.data.archive import opened
from pipeline.data.facts import NEUTRAL, Facts
from pipeline.data.images import Decoded, decode_image
from pipeline.data.prepared import Prepared, write_prepared
from tests.makers import SPLITS, data_section, encode, write_class_folders, write_files, write_image_masks
from tests.refusals import refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "prepared"
    path.mkdir()
    return path


def prepare(section: dict[str, Any], folder: Path) -> Prepared:
    facts = Facts(**section)
    write_prepared(facts, folder, data_digest="sha256:0123")
    return Prepared.open(folder, facts)


def read_manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["data", "data.zip"])
def test_labelled_arrays_and_manifest_agree_with_the_files(
    channels: int, kind: str, tmp_path: Path, folder: Path
) -> None:
    root = tmp_path / kind
    written = write_class_folders(root, channels=channels)
    prepared = prepare(data_section(root, shape=[channels, 8, 8]), folder)
    rows = read_manifest(folder)
    assert [row["file"] for row in rows] == [name for split in SPLITS for name in sorted_in(written, split)]
    with opened(root) as archive:
        for row in rows:
            split, index = row["split"], int(row["index"])
            image = prepared.images(split)[index]
            np.testing.assert_array_equal(image, written[row["file"]].reshape(8, 8, channels))
            assert (
                prepared.targets(split)[index]
                == int(row["label"])
                == ["cat", "dog"].index(row["file"].split("/")[1])
            )
            assert row["digest"] == sha256(archive.read(row["file"])).hexdigest()
            assert prepared.files(split)[index] == row["file"]


def test_masked_arrays_and_manifest_agree_with_the_files(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    written = write_image_masks(root, num_classes=3)
    section = data_section(root, format="image_masks", classes=["a", "b", "c"])
    prepared = prepare(section, folder)
    rows = read_manifest(folder)
    assert len(rows) == 9
    for row in rows:
        index = int(row["index"])
        np.testing.assert_array_equal(prepared.images(row["split"])[index, ..., 0], written[row["file"]])
        np.testing.assert_array_equal(prepared.targets(row["split"])[index], written[row["mask"]])
        assert row["mask"] == row["file"].replace("images", "masks")
        assert row["digest"] == sha256((root / row["file"]).read_bytes()).hexdigest()


def test_arrays_are_bytes_with_channels_last_and_memory_mapped(tmp_path: Path, folder: Path) -> None:
    write_image_masks(tmp_path / "data", sides=(6, 10), num_images=2)
    section = data_section(tmp_path / "data", format="image_masks", shape=[3, 4, 5])
    prepared = prepare(section, folder)
    for split in SPLITS:
        images, masks = prepared.images(split), prepared.targets(split)
        assert (images.shape, masks.shape) == ((2, 4, 5, 3), (2, 4, 5))
        for array in (images, masks):
            assert isinstance(array, np.memmap)
            assert array.dtype == np.uint8
            assert not array.flags.writeable


def test_about_tells_facts_digest_and_counts(tmp_path: Path, folder: Path) -> None:
    write_class_folders(tmp_path / "data.zip", num_images=4)
    section = data_section(tmp_path / "data.zip")
    others = "name root digest licence background mirror_changes_label max_pixels max_file_bytes"
    facts = {name: value for name, value in section.items() if name not in {*others.split(), *NEUTRAL}}
    expected = {"facts": facts, "digest": "sha256:0123", "counts": dict.fromkeys(SPLITS, 8), "enlarged": 0}
    expected["images_of_classes"] = {split: [4, 4] for split in SPLITS}
    assert prepare(section, folder).about() == expected


@pytest.mark.parametrize("splits", [SPLITS, ("train", "test")])
def test_fold_moves_images_between_train_and_val_alone(splits: Sequence[str], tmp_path: Path) -> None:
    written = write_class_folders(tmp_path / "data", splits=splits, num_images=6)
    validated = []
    for index in range(3):
        folder = tmp_path / f"prepared_{index}"
        folder.mkdir()
        section = data_section(tmp_path / "data", fold={"index": index, "of": 3})
        prepared = prepare(section, folder)
        assert prepared.files("test") == sorted_in(written, "test")
        pool = sorted(sorted_in(written, "train") + sorted_in(written, "val"))
        assert sorted(prepared.files("train") + prepared.files("val")) == pool
        counts = {"train": len(pool) * 2 // 3, "val": len(pool) // 3, "test": 12}
        assert prepared.about()["counts"] == counts
        assert {split: len(prepared.targets(split)) for split in SPLITS} == counts
        validated += prepared.files("val")
        for split in ("train", "val"):
            for file, image in zip(prepared.files(split), prepared.images(split), strict=True):
                np.testing.assert_array_equal(image[..., 0], written[file])
    assert sorted(validated) == pool


def test_every_fold_validates_on_its_share_of_each_class(tmp_path: Path) -> None:
    for label, num_images in (("cat", 4), ("dog", 12)):
        write_class_folders(
            tmp_path / "data", splits=("train", "test"), classes=[label], num_images=num_images
        )
    for index in range(4):
        folder = tmp_path / f"prepared_{index}"
        folder.mkdir()
        section = data_section(tmp_path / "data", fold={"index": index, "of": 4}, allow_duplicates=True)
        assert sorted(prepare(section, folder).targets("val")) == [0, 1, 1, 1]  # a quarter of 4 and of 12


@pytest.mark.parametrize("absent", ["train", "val"])
def test_empty_split_is_refused_by_name(absent: str, tmp_path: Path, folder: Path) -> None:
    write_class_folders(tmp_path / "data", splits=[split for split in SPLITS if split != absent])
    hint = "add images to it or change data.split"
    text = f"data.root: {tmp_path / 'data'} has no image in the {absent} split; {hint}"
    with refused("data.root", hint=hint, text=text):
        prepare(data_section(tmp_path / "data"), folder)


def test_class_without_a_training_image_is_refused_by_name(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    write_class_folders(root)
    shutil.rmtree(root / "train" / "dog")
    hint = "add some or remove the class"
    text = f"data.classes: {root} has no training image of class 'dog'; {hint}"
    with refused("data.classes", hint=hint, text=text):
        prepare(data_section(root), folder)


def test_class_may_be_absent_from_val_and_test(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    write_class_folders(root)
    for split in ("val", "test"):
        shutil.rmtree(root / split / "dog")
    assert set(prepare(data_section(root), folder).targets("val")) == {0}


@pytest.mark.parametrize("source", ["class_folders", "image_masks"])
def test_too_small_a_disk_is_told_before_anything_is_written(
    source: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (write_class_folders if source == "class_folders" else write_image_masks)(tmp_path / "data")
    section = data_section(tmp_path / "data", format=source, shape=[3, 8, 8])
    needed = 18 * (64 * 3 + 1) if source == "class_folders" else 9 * 64 * (3 + 1)

    def leave(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))

    leave(needed - 1)
    count = 18 if source == "class_folders" else 9
    text = (
        f"data.shape: {count} prepared images of [3, 8, 8] need {needed:,} bytes, the disk has {needed - 1:,}; "
        "free some space or choose a smaller shape"
    )
    with refused("data.shape", text=text):
        prepare(section, folder)
    assert list(folder.iterdir()) == []
    leave(needed)
    prepare(section, folder)


def test_image_that_cannot_be_used_is_named(tmp_path: Path, folder: Path) -> None:
    write_class_folders(tmp_path / "data")
    write_files(tmp_path / "data", {"val/dog/001.png": b"\x89PNG"})
    with refused("val/dog/001.png", hint="replace or remove it"):
        prepare(data_section(tmp_path / "data"), folder)


@pytest.mark.parametrize("kind", ["data", "data.zip"])
@pytest.mark.parametrize("source", ["class_folders", "image_masks"])
def test_number_of_threads_changes_no_byte(
    source: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = write_class_folders if source == "class_folders" else write_image_masks
    write(tmp_path / kind, num_images=20, sides=(30, 20))
    section = data_section(tmp_path / kind, format=source)

    def written(num_threads: int) -> dict[str, bytes]:
        monkeypatch.setattr(threads, "num_threads", lambda: num_threads)
        folder = tmp_path / f"prepared_{num_threads}"
        folder.mkdir()
        prepare(section, folder)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    one = written(1)
    assert len(one) == 8
    assert written(5) == one


def test_first_file_that_cannot_be_used_is_named_though_a_later_one_failed_sooner(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_class_folders(tmp_path / "data", num_images=4)
    write_files(
        tmp_path / "data", {"train/cat/001.png": b"", "train/dog/002.png": b"", "val/cat/000.png": b""}
    )
    failed = threading.Event()

    def decode(data: bytes, *, name: str, **options: Any) -> Any:
        if name == "train/cat/001.png":
            assert failed.wait(20)
        try:
            return decode_image(data, name=name, **options)
        finally:
            if name == "train/dog/002.png":
                failed.set()

    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    monkeypatch.setattr(prepared, "decode_image", decode)
    with refused("train/cat/001.png", hint="replace or remove it"):
        prepare(data_section(tmp_path / "data", shape=[3, 300, 300]), folder)  # an image at a time
    assert failed.is_set()


def test_formats_are_loaded_before_threads_open_files(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(Image, "init", lambda: calls.append("init"))
    monkeypatch.setattr(
        prepared,
        "decode_image",
        lambda *_, **__: calls.append("open") or Decoded(np.zeros(64), (8, 8), False),
    )
    write_class_folders(tmp_path / "data")
    prepare(data_section(tmp_path / "data"), folder)
    assert calls == ["init", *["open"] * 18]


def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 2)

    def peak(num_images: int) -> int:
        root, folder = tmp_path / f"data_{num_images}", tmp_path / f"prepared_{num_images}"
        write_class_folders(root, num_images=num_images)
        folder.mkdir()
        tracemalloc.start()
        prepare(data_section(root, shape=[3, 256, 256]), folder)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)  # what is allocated once for all
    assert peak(40) < 1.5 * peak(4)


def test_mask_is_compared_with_its_own_image(tmp_path: Path, folder: Path) -> None:
    write_image_masks(tmp_path / "data")
    write_files(tmp_path / "data", {"test/masks/001.png": encode(np.zeros((8, 9), np.uint8))})
    allowed = "a mask of shape (8, 8), like its image"
    with refused("test/masks/001.png", got=(8, 9), allowed=allowed, hint="save both in the same shape"):
        prepare(data_section(tmp_path / "data", format="image_masks"), folder)


@pytest.mark.parametrize(
    ("label", "allowed"), [(None, "0 to 1"), (200, "0 to 1, or 200 (data.ignore_label)")]
)
def test_mask_value_must_be_a_class_or_the_ignore_label(
    label: int | None, allowed: str, tmp_path: Path, folder: Path
) -> None:
    write_image_masks(tmp_path / "data")
    write_files(tmp_path / "data", {"train/masks/000.png": encode(np.full((8, 8), 7, np.uint8))})
    section = data_section(tmp_path / "data", format="image_masks", ignore_label=label)
    with refused("train/masks/000.png", got=7, allowed=f"a mask with class indices from {allowed}"):
        prepare(section, folder)


def sorted_in(written: dict[str, Any], split: str) -> list[str]:
    return sorted(name for name in written if name.startswith(f"{split}/"))
