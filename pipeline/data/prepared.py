"""Prepared data: uint8 arrays at training resolution, memory-mapped, with a manifest.

A prepared folder holds for each split `<split>_images.npy` (N, H, W, C) and `<split>_targets.npy`: labels
(N,) or masks (N, H, W); `manifest.csv` (split, index, file, label or mask, digest of the file's bytes); and
`prepared.json` with the facts they were made by.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.archive import Archive, opened
from pipeline.data.arrays import start_array
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.images import decode_image, decode_mask, load_formats, sides_of
from pipeline.data.sources import Sample, source_of
from pipeline.data.splits import fold_samples
from pipeline.data.threads import in_order
from pipeline.errors import ConfigError

Array = NDArray[np.uint8]

PIECE = 2**18  # prepared bytes that a thread is handed at once, about
PIECE_IMAGES = 16  # images at most, as each may be large on disk


@dataclass(frozen=True)
class Prepared:
    """A prepared folder, opened one split at a time."""

    folder: Path

    def images(self, split: str) -> Array:
        """Return the images of a split, memory-mapped: (N, H, W, C)."""
        return _mapped(self.folder / f"{split}_images.npy")

    def targets(self, split: str) -> Array:
        """Return labels (N,) or masks (N, H, W) of a split, memory-mapped."""
        return _mapped(self.folder / f"{split}_targets.npy")

    def files(self, split: str) -> list[str]:
        """Return the names of a split's images in the archive."""
        with (self.folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            return [row["file"] for row in csv.DictReader(file) if row["split"] == split]

    def about(self) -> dict[str, Any]:
        """Return what `prepared.json` says: facts, digest, counts."""
        text = (self.folder / "prepared.json").read_text(encoding="utf-8")
        about: dict[str, Any] = json.loads(text)
        return about


def write_prepared(facts: Facts, folder: Path, *, data_digest: str) -> None:
    """Decode an archive into a prepared folder on all cores, a few images in memory at a time.

    Args:
        folder: an empty folder; what is in it after an error is for the caller to remove.

    Raises:
        ConfigError: the archive cannot be used (each reason names its file), or the disk is too small.
    """
    source = source_of(facts.format)
    with opened(Path(facts.root)) as archive:
        samples = _by_split(fold_samples(source.samples(archive, facts), facts))
        _check_counts(samples, facts, source.TARGET)
        _check_disk(len(samples), facts, source.TARGET, folder)
        with (
            (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file,
            closing(_decoded(archive, samples, facts)) as decoded,
        ):
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["split", "index", "file", source.TARGET, "digest"])
            for split in SPLITS:
                chosen = [sample for sample in samples if sample.split == split]
                rows.writerows(_write_split(chosen, decoded, facts, folder))
    counts = {split: sum(sample.split == split for sample in samples) for split in SPLITS}
    about = {"facts": asdict(facts), "digest": data_digest, "counts": counts}
    (folder / "prepared.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


class _Decoded(NamedTuple):
    """What a sample becomes: an image (H, W, C), a label () or mask (H, W); and the digest of its file."""

    image: Array
    target: Array
    digest: str


def _by_split(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for split in SPLITS for sample in samples if sample.split == split]


def _decoded(archive: Archive, samples: Sequence[Sample], facts: Facts) -> Generator[_Decoded]:
    """Yield what samples become, in order; the first of them that cannot be used ends it."""
    load_formats()
    piece = max(1, min(PIECE_IMAGES, PIECE // math.prod(facts.shape)))
    return in_order(partial(_decode, archive, facts), samples, piece=piece)


def _decode(archive: Archive, facts: Facts, sample: Sample) -> _Decoded:
    channels, rows, columns = facts.shape
    data = archive.read(sample.file)
    image = decode_image(data, name=sample.file, shape=(channels, rows, columns))
    if sample.mask is None:
        assert sample.label is not None
        target = np.array(sample.label, dtype=np.uint8)
    else:
        target = _mask(archive, sample.mask, data, facts)
    return _Decoded(image, target, hashlib.sha256(data).hexdigest())


def _write_split(
    samples: Sequence[Sample], decoded: Iterator[_Decoded], facts: Facts, folder: Path
) -> Iterator[tuple[str, int, str, str | int | None, str]]:
    """Write the arrays of one split; yield the rows of its manifest.

    Args:
        decoded: what the samples become, and then those of later splits.
    """
    channels, rows, columns = facts.shape
    is_mask = samples[0].mask is not None
    with ExitStack() as stack:
        images = stack.enter_context((folder / f"{samples[0].split}_images.npy").open("wb"))
        targets = stack.enter_context((folder / f"{samples[0].split}_targets.npy").open("wb"))
        start_array(images, (len(samples), rows, columns, channels))
        start_array(targets, (len(samples), rows, columns) if is_mask else (len(samples),))
        own = islice(decoded, len(samples))
        for index, (sample, made) in enumerate(zip(samples, own, strict=True)):
            images.write(made.image.data)
            targets.write(made.target.data)
            yield sample.split, index, sample.file, sample.mask if is_mask else sample.label, made.digest


def _mask(archive: Archive, name: str, image: bytes, facts: Facts) -> Array:
    return decode_mask(
        archive.read(name),
        name=name,
        image_sides=sides_of(image),
        sides=(facts.shape[1], facts.shape[2]),
        num_classes=len(facts.classes),
        ignore_label=facts.ignore_label,
    )


def _check_counts(samples: Sequence[Sample], facts: Facts, target: str) -> None:
    for split in SPLITS:
        if not any(sample.split == split for sample in samples):
            raise ConfigError(
                f"data.root: {facts.root} has no image in the {split} split; add images to it or "
                "change data.split"
            )
    if target == "label":
        present = {sample.label for sample in samples if sample.split == "train"}
        for index, name in enumerate(facts.classes):
            if index not in present:
                raise ConfigError(
                    f"data.classes: {facts.root} has no training image of class '{name}'; add some or "
                    "remove the class"
                )


def _check_disk(count: int, facts: Facts, target: str, folder: Path) -> None:
    channels, rows, columns = facts.shape
    needed = count * rows * columns * (channels + (target == "mask"))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            f"data.shape {facts.shape}: {count} prepared images need {needed:,} bytes, the disk has "
            f"{free:,}; free some space or choose a smaller shape"
        )


def _mapped(path: Path) -> Array:
    array: Array = np.load(path, mmap_mode="r")
    return array
