"""What a survey found, as blocks of text and numbers that the terminal and the page show alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.shares import Shares
from pipeline.data.sources import Sample, is_image
from pipeline.inspection.advice import find_remarks
from pipeline.inspection.duplicates import Duplicates
from pipeline.inspection.survey import Survey

NO_CLASS = -1
MOST_ROWS = 20  # of a table; the page of a data set has no more either
MOST_EXAMPLES = 5  # groups of duplicates
MOST_NAMES = 10  # refused files that are listed for each reason; refused.txt has them all
DEPTHS = {"1": "black and white", "L": "grey", "P": "palette", "RGB": "colour", "RGBA": "colour with alpha"}

Named = Callable[[Sample], tuple[int, ...] | None]


@dataclass(frozen=True)
class Block:
    """A table with a title.

    Args:
        header: names of the columns; empty for pairs of a name and a value.
        remarks: sentences below the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()


def describe(
    archive: Archive,
    facts: Facts,
    survey: Survey,
    named: Named,
    duplicates: tuple[Duplicates, Duplicates],
    shares: Shares,
    *,
    is_placed: bool = False,
) -> list[Block]:
    """Return the blocks of a data set, those without content left out.

    Args:
        named: the classes of a sample; None if only its file tells them.
        duplicates: of the same bytes, and near ones.
        shares: of the splits.
        is_placed: whether classes are those of objects in the images.
    """
    blocks = [
        _classes(facts, survey, named, shares, is_placed=is_placed),
        _images(facts, survey),
        _masks(facts, survey),
        _duplicates(*duplicates),
        _skipped(archive, facts, survey),
        _refused(survey),
    ]
    return [block for block in blocks if block.rows or block.remarks]


def _classes(facts: Facts, survey: Survey, named: Named, shares: Shares, *, is_placed: bool) -> Block:
    sizes = shares.sizes()
    total = sum(sizes.values())
    last = ("all", *_cells(list(sizes.values())), f"{total:,}", "")
    remarks = [*shares.notes, *shares.warnings]
    if any(named(sample) is None for sample in survey.samples):
        return Block("Images per split", ("", *SPLITS, "all", ""), [last], remarks)
    counts = Counter(
        (label, sample.split) for sample in survey.samples for label in named(sample) or [NO_CLASS]
    )
    sums: Counter[int] = Counter()
    for (label, _), count in counts.items():
        sums[label] += count
    rows = [
        (
            _class_name(label, facts),
            *_cells([counts[label, split] for split in SPLITS]),
            f"{count:,}",
            f"{count / total:.1%}",
        )
        for label, count in sums.most_common(MOST_ROWS)
    ]
    if len(sums) > MOST_ROWS:
        remarks.insert(0, f"and {len(sums) - MOST_ROWS:,} smaller classes")
    if is_placed:
        header = ("class", *SPLITS, "all", "share")
        return Block("Images with an object of each class", header, [*rows, last], remarks)
    if sums.total() > total or NO_CLASS in sums:
        share = sum(sums[label] for label in range(len(facts.classes))) / len(facts.classes) / total
        remarks.append(f"Guessing at random has a mean AP of {share:.3f}, the mean share of the classes.")
    else:
        (label, count), *_ = sums.most_common(1)
        remarks.append(
            f"Always guessing '{_class_name(label, facts)}' has accuracy {count / total:.3f}, and balanced accuracy "
            f"{1 / len(facts.classes):.3f}."
        )
    return Block("Images per class and split", ("class", *SPLITS, "all", "share"), [*rows, last], remarks)


def _cells(counts: Sequence[int]) -> list[str]:
    """Return numbers of images with their shares of all."""
    total = sum(counts)
    return [f"{count:,} ({count / total:.0%})" if total else "0" for count in counts]


def _class_name(label: int, facts: Facts) -> str:
    return "(no class)" if label == NO_CLASS else facts.classes[label]


def _images(facts: Facts, survey: Survey) -> Block:
    if not survey.readable:
        return Block("Images", (), [])
    sides = np.array(list(survey.sides))
    counts = np.array(list(survey.sides.values()))
    frequent = ", ".join(f"{r} x {c} ({count:,})" for (r, c), count in survey.sides.most_common(3))
    more = f", and {len(counts) - 3:,} other sizes" if len(counts) > 3 else ""
    ratios = sides[:, 1] / sides[:, 0]
    low, middle, high = np.quantile(np.repeat(ratios, counts), (0, 0.5, 1))
    modes = ", ".join(f"{_depth(mode)} ({count:,})" for mode, count in survey.modes.most_common())
    brightness = np.frombuffer(survey.brightness, np.float32)
    if survey.extrema is not None and facts.value_range is not None:  # as preparation will make them
        lowest, highest = facts.value_range
        brightness = ((brightness - lowest) * (255 / (highest - lowest))).clip(0, 255)
    dark, usual, light = np.quantile(brightness, (0.05, 0.5, 0.95))
    channels, rows, columns = facts.shape
    pairs = [
        ("rows x columns", frequent + more),
        ("columns / rows", f"{middle:.2f} in the median, from {low:.2f} to {high:.2f}"),
        ("depth", modes),
        ("colour", "yes" if survey.is_colour else "no: all channels are equal"),
        (
            "brightness",
            f"{usual:.0f} of 255 in the median; 90 % of the images from {dark:.0f} to {light:.0f}",
        ),
        (
            "resized to",
            f"{rows} x {columns}, {'grey' if channels == 1 else 'RGB'} ({facts.resize}, antialiased bilinear)",
        ),
    ]
    return Block("Images", (), pairs, find_remarks(survey, facts))


def _depth(mode: str) -> str:
    bits = {"1": "1 bit", "I": "16 bits"}.get(mode[0], "8 bits")
    return f"{DEPTHS.get(mode, mode)}, {bits}"


def _masks(facts: Facts, survey: Survey) -> Block:
    meaning = _meaning(facts)
    total = sum(survey.pixels.values())
    rows = [
        (value, meaning(value), f"{count / total:.2%}", f"{survey.masks[value]:,}")
        for value, count in survey.pixels.most_common(MOST_ROWS)
    ]
    remarks = []
    if len(survey.pixels) > MOST_ROWS:
        remarks.append(f"and {len(survey.pixels) - MOST_ROWS:,} rarer values")
    if rows:
        remarks.append(
            f"Always guessing '{rows[0][1] or rows[0][0]}' is right for {rows[0][2]} of the pixels."
        )
    if survey.has_contradictions():
        remarks.append(
            "Palettes of masks contradict each other: colours tell the classes, and values do not."
        )
    return Block("Values of masks", ("value", "class", "share of pixels", "masks"), rows, remarks)


def _meaning(facts: Facts) -> Callable[[str], str]:
    """Return a function that returns the class of a value or colour of masks; empty text if it has none."""
    names = {str(index): name for index, name in enumerate(facts.classes)}
    if facts.mask_values is not None:
        names = {str(value): name or "ignored" for value, name in facts.mask_values.items()}
    if facts.ignore_label is not None:
        names.setdefault(str(facts.ignore_label), "ignored")
    return lambda value: names.get(value, "")


def _duplicates(equal: Duplicates, near: Duplicates) -> Block:
    kinds = {kind: found for kind, found in (("same bytes", equal), ("near", near)) if found.groups}
    rows = []
    for kind, found in kinds.items():
        within = found.groups - found.across_classes
        counts = (found.groups, found.images, within, found.across_classes, found.across_splits)
        rows.append((kind, *(f"{count:,}" for count in counts)))
    remarks = [f"{kind}: {', '.join(names)}" for kind, found in kinds.items() for names in found.examples]
    header = ("", "groups", "images", "within a class", "across classes", "across splits")
    return Block("Duplicates", header, rows, remarks[:MOST_EXAMPLES])


def _skipped(archive: Archive, facts: Facts, survey: Survey) -> Block:
    used = {facts.table, archive.root.name, *(sample.file for sample in survey.samples)}
    others = Counter(
        f"not an image ({PurePosixPath(name).suffix or 'no suffix'})"
        for name in archive.names()
        if name not in used and not is_image(name)
    )
    rows = [(reason, f"{count:,}") for reason, count in (archive.skipped + others).most_common(MOST_ROWS)]
    if survey.num_misnamed:
        rows.append(("read, but of another format than the suffix says", f"{survey.num_misnamed:,}"))
    return Block("Passed over", ("reason", "files"), rows)


def _refused(survey: Survey) -> Block:
    rows, remarks = [], []
    for reason, sentences in sorted(survey.refused.items(), key=lambda each: -len(each[1])):
        rows.append((reason, f"{len(sentences):,}"))
        remarks += sentences[:MOST_NAMES]
        if len(sentences) > MOST_NAMES:
            remarks.append(f"and {len(sentences) - MOST_NAMES:,} more for the same reason")
    return Block("Refused: training stops", ("reason", "files"), rows, remarks)
