"""Prepared data: uint8 arrays at training resolution, memory-mapped, with a manifest.

A prepared folder contains, for each split that has images, `<split>_images.npy` (N, H, W, C) and
`<split>_targets.npy`, whose layout depends on the kind of target, with `<split>_sides.npy` (N, 2) for those that have
places; `manifest.csv` (split, index, file, target, group, digest of the file's bytes); and `prepared.json` with the
facts it was prepared with.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.data.archive import Archive
from pipeline.data.arrays import start_array
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.images import decode_image, find_resizing, is_misnamed, load_formats
from pipeline.data.refusals import catching, raise_together
from pipeline.data.remarks import Remarks
from pipeline.data.shares import check_counts, measure_shares
from pipeline.data.sources import Sample, find_target, load_source, open_source
from pipeline.data.splits import find_group_of, fold_samples
from pipeline.data.targets.kind import Array, TargetKind, load_kind
from pipeline.data.threads import in_order
from pipeline.errors import ConfigError, warn
from pipeline.storage.names import escape_cells, unescape_cells

PIECE = 2**18  # approximate number of prepared bytes per work item of a thread
PIECE_IMAGES = 16  # maximum number of images per work item, as files may be large


@dataclass(frozen=True)
class Prepared:
    """A prepared folder; arrays are memory-mapped on access.

    Args:
        folder: written by `write_prepared`.
        kind: the kind of its targets.
    """

    folder: Path
    kind: TargetKind

    @classmethod
    def open(cls, folder: Path, facts: Facts) -> Prepared:
        """Open the prepared folder of a data set."""
        return cls(folder, load_kind(find_target(facts)))

    def has(self, split: str) -> bool:
        """Return whether a split has images."""
        return (self.folder / f"{split}_targets.npy").exists()

    def images(self, split: str) -> Array:
        """Return the images of a split, memory-mapped: (N, H, W, C)."""
        array: Array = np.load(self.folder / f"{split}_images.npy", mmap_mode="r")
        return array

    def targets(self, split: str) -> Array:
        """Return the targets of a split, memory-mapped: (N, ...)."""
        return self.kind.load(self.folder, split)

    def sides(self, split: str) -> Array | None:
        """Return rows and columns of the images' files (N, 2), memory-mapped; None if the kind has no places."""
        return self.kind.load_sides(self.folder, split)

    def count_classes(self, split: str, num_classes: int) -> list[int]:
        """Return how often each class occurs in a split: in how many images, or pixels of masks."""
        return self.kind.count(self.targets(split), num_classes)

    def files(self, split: str) -> list[str]:
        """Return the archive file names of the images of a split."""
        return self._column("file", split)

    def groups(self, split: str) -> list[str] | None:
        """Return the group of each image of a split; None if none are declared."""
        groups = self._column("group", split)
        return groups if any(groups) else None

    def count_trained_on(self, split: str) -> int:
        """Return the number of images of a split whose files are among those of the training split, too."""
        trained = set(self._column("digest", SPLITS[0]))
        return sum(digest in trained for digest in self._column("digest", split))

    def _column(self, name: str, split: str) -> list[str]:
        with (self.folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            return unescape_cells([row[name] for row in csv.DictReader(file) if row["split"] == split])

    def about(self) -> dict[str, Any]:
        """Return the contents of `prepared.json`: facts, digest, counts (of classes, too), number enlarged."""
        text = (self.folder / "prepared.json").read_text(encoding="utf-8")
        about: dict[str, Any] = json.loads(text)
        return about


def write_prepared(facts: Facts, folder: Path, *, data_digest: str) -> None:
    """Decode an archive into a prepared folder, using all cores and constant memory.

    Args:
        folder: an empty folder; the caller is responsible for cleaning up after an error.

    Raises:
        ConfigError: the archive is invalid (the message names the files), or the disk is too small.
    """
    source = load_source(facts.format)
    kind = load_kind(find_target(facts))
    with open_source(facts) as found:
        archive, remarks, enlarged = _Noting(found), Remarks(), 0
        present = {split: np.zeros(len(facts.classes), np.int64) for split in SPLITS}
        samples = _by_split(fold_samples(source.samples(archive, facts), facts, kind.stratum))
        kind, repeats = kind.fitted(samples), _Repeats(samples)
        shares = measure_shares(samples, facts, kind.stratum)
        check_counts(shares, facts)
        groups = {sample.file: find_group_of(sample, facts) or "" for sample in samples}
        kind.check(samples, facts)
        _check_disk(len(samples), facts, kind, folder)
        with (
            (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file,
            closing(_decoded(archive, samples, facts, kind, remarks)) as decoded,
        ):
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["split", "index", "file", kind.name, "group", "digest"])
            for split in shares.splits():
                chosen = [sample for sample in samples if sample.split == split]
                for index, (sample, made) in enumerate(_write_split(chosen, decoded, facts, kind, folder)):
                    repeats.note(made.digest)
                    classes = kind.present(made.target)
                    present[split][classes[classes < len(facts.classes)]] += 1
                    enlarged += made.is_enlarged and split == SPLITS[0]
                    row = (split, index, sample.file, kind.cell(sample), groups[sample.file], made.digest)
                    rows.writerow(escape_cells(row))
        archive.warn_of_misnamed()
        remarks.warn()
        repeats.check(facts)
    shares.report()
    num_images = {split: counts.tolist() for split, counts in present.items()}
    kind.check_present(num_images, facts)
    about = {"facts": facts.deciding(), "digest": data_digest, "counts": shares.sizes(), "enlarged": enlarged}
    about["images_of_classes"] = num_images
    (folder / "prepared.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


class _Noting:
    """An archive that notes which images have another format than their suffix says; they are read all the same."""

    def __init__(self, archive: Archive) -> None:
        self.root = archive.root
        self.names = archive.names
        self.skipped = archive.skipped
        self._archive = archive
        self._misnamed: list[str] = []

    def read(self, name: str) -> bytes:
        """Return the bytes of a file."""
        data = self._archive.read(name)
        if is_misnamed(data, name):
            self._misnamed.append(name)
        return data

    def warn_of_misnamed(self) -> None:
        """Warn once about all images read so far."""
        if self._misnamed:
            warn(
                f"data.root: images in {self.root} that have another format than their suffix says: "
                f"{len(self._misnamed)}, such as {min(self._misnamed)}; they are read as what they are"
            )


class _Repeats:
    """Images that are in several splits: a network would be tested on what it was trained on."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self._digests = bytearray()  # 16 bytes of each sample

    def note(self, digest: str) -> None:
        """Note the digest of the next sample's file."""
        self._digests += bytes.fromhex(digest[:32])

    def check(self, facts: Facts) -> None:
        """Raise if images are in several splits, and `data.allow_duplicates` does not allow that."""
        if facts.allow_duplicates:
            return
        digests = np.frombuffer(self._digests, dtype="S16")
        splits = np.array([SPLITS.index(sample.split) for sample in self._samples], np.uint8)
        _, first, numbers = np.unique(digests, return_index=True, return_inverse=True)
        repeated = np.flatnonzero(splits != splits[first[numbers]])
        if repeated.size:
            one, other = (self._samples[index] for index in (first[numbers[repeated[0]]], repeated[0]))
            raise ConfigError(
                "data.root",
                f"images of {facts.root} that are in another split, too: {repeated.size:,}, such as {one.file} "
                f"({one.split}) and {other.file} ({other.split})",
                hint="remove one of each, or set data.allow_duplicates=true if scores on them are what you want",
            )


class _Decoded(NamedTuple):
    """A decoded sample: image (H, W, C), target, sides and digest of the image file, and whether it was enlarged."""

    image: Array
    target: Array
    sides: tuple[int, int]
    digest: str
    is_enlarged: bool


def _by_split(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for split in SPLITS for sample in samples if sample.split == split]


def _decoded(
    archive: Archive, samples: Sequence[Sample], facts: Facts, kind: TargetKind, remarks: Remarks
) -> Generator[_Decoded]:
    """Yield the decoded samples in order; raise if some are invalid, and name them."""
    load_formats()
    piece = max(1, min(PIECE_IMAGES, PIECE // math.prod(facts.shape)))
    decode = catching(partial(_decode, archive, facts, kind.reader(archive, facts, remarks), remarks))
    return raise_together(in_order(decode, samples, piece=piece))


def _decode(
    archive: Archive,
    facts: Facts,
    read_target: Callable[[Sample, bytes], Array],
    remarks: Remarks,
    sample: Sample,
) -> _Decoded:
    data = archive.read(sample.file)
    image = decode_image(data, name=sample.file, facts=facts)
    remarks.note_image(image, sample.file, facts)
    target = read_target(sample, data)
    is_enlarged = min(find_resizing(facts).place(image.sides).scale) > 1
    return _Decoded(image.pixels, target, image.sides, hashlib.sha256(data).hexdigest(), is_enlarged)


def _write_split(
    samples: Sequence[Sample], decoded: Iterator[_Decoded], facts: Facts, kind: TargetKind, folder: Path
) -> Iterator[tuple[Sample, _Decoded]]:
    """Write the arrays of one split; yield each sample with what was decoded.

    Args:
        decoded: the decoded samples of this split, followed by those of later splits.
    """
    channels, rows, columns = facts.shape
    count, split = len(samples), samples[0].split
    with (
        (folder / f"{split}_images.npy").open("wb") as images,
        kind.writing(folder, split, count, facts) as write_target,
    ):
        start_array(images, (count, rows, columns, channels))
        own = islice(decoded, len(samples))
        for sample, made in zip(samples, own, strict=True):
            images.write(made.image.data)
            write_target(made.target, made.sides)
            yield sample, made


def _check_disk(count: int, facts: Facts, kind: TargetKind, folder: Path) -> None:
    of_target = math.prod(kind.shape(facts)) * kind.dtype(facts).itemsize
    needed = count * (math.prod(facts.shape) + of_target)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            "data.shape",
            f"{count} prepared images of {facts.shape} need {needed:,} bytes, the disk has {free:,}",
            hint="free some space or choose a smaller shape",
        )
