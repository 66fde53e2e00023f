"""An external test set: images with targets from another archive, prepared at the resolution of a trained network.

Unlike the data of training, it need not have splits, nor images of every class.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.data.archive import Archive
from pipeline.data.arrays import start_array
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.images import Pixels, decode_image, load_formats
from pipeline.data.prepared import PIECE_IMAGES, Prepared
from pipeline.data.refusals import catching, raise_together
from pipeline.data.remarks import Remarks
from pipeline.data.sources import Sample, find_target, is_image, load_source, open_source
from pipeline.data.splits import find_group_of
from pipeline.data.targets.kind import Array, TargetKind, load_kind
from pipeline.data.threads import in_order
from pipeline.errors import ConfigError
from pipeline.storage.names import escape_cells

TEST, ALL = "test", "all"
CHOICES = (TEST, ALL)


def check_split(split: str) -> None:
    """Raise if a user names a split that other data are not scored on."""
    if split not in CHOICES:
        raise ConfigError.unknown("split", split, CHOICES, what="choice")


def prepare_external(facts: Facts, folder: Path, *, split: str) -> Prepared:
    """Decode images of an archive into the test split of a prepared folder that has no other.

    Args:
        facts: of the archive, with the shape that the network was trained on.
        folder: an empty folder.
        split: `all` for the images of all splits, or one of them.

    Raises:
        ConfigError: the archive is invalid, or has no such image.
    """
    source = load_source(facts.format)
    kind = load_kind(find_target(facts))
    with open_source(facts) as archive:
        found = source.samples(archive, _of_one_set(facts, archive) if split == ALL else facts)
        samples = [sample for sample in found if split in (ALL, sample.split)]
        if not samples:
            raise ConfigError(
                "data.root",
                f"{facts.root} has no image in the {split} split, and {len(found)} in all",
                hint="set split=all to score all of them" if found else "name another archive",
            )
        groups = [find_group_of(sample, facts) or "" for sample in samples]
        kind = kind.fitted(samples)
        _write(archive, samples, groups, facts, kind, folder)
    return Prepared(folder, kind)


def _of_one_set(facts: Facts, archive: Archive) -> Facts:
    """Return facts that read an archive without train/, val/ and test/, where all of its images are wanted."""
    if facts.split != "folders" or facts.columns is not None:
        return facts
    tops = {name.split("/")[0] for name in archive.names() if is_image(name)}
    return facts if tops & set(SPLITS) else replace(facts, split="random")  # as all of them are taken


def _write(
    archive: Archive,
    samples: Sequence[Sample],
    groups: Sequence[str],
    facts: Facts,
    kind: TargetKind,
    folder: Path,
) -> None:
    channels, rows, columns = facts.shape
    load_formats()
    remarks = Remarks()
    decode = catching(partial(_decode, archive, facts, kind.reader(archive, facts, remarks), remarks))
    with (
        (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as manifest,
        (folder / f"{TEST}_images.npy").open("wb") as images,
        kind.writing(folder, TEST, len(samples), facts) as write_target,
        closing(raise_together(in_order(decode, samples, piece=PIECE_IMAGES))) as decoded,
    ):
        table = csv.writer(manifest, lineterminator="\n")
        table.writerow(["split", "index", "file", "group"])
        start_array(images, (len(samples), rows, columns, channels))
        for index, (sample, group, (image, target, sides)) in enumerate(
            zip(samples, groups, decoded, strict=True)
        ):
            images.write(image.data)
            write_target(target, sides)
            table.writerow(escape_cells([TEST, index, sample.file, group]))
    remarks.warn()


def _decode(
    archive: Archive,
    facts: Facts,
    read_target: Callable[[Sample, bytes], Array],
    remarks: Remarks,
    sample: Sample,
) -> tuple[Pixels, Array, tuple[int, int]]:
    data = archive.read(sample.file)
    image = decode_image(data, name=sample.file, facts=facts)
    remarks.note_image(image, sample.file, facts)
    return image.pixels, read_target(sample, data), image.sides
