"""How many images of each class are in each split, and whether drawn splits have the declared shares."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.data.facts import SPLITS, Facts
from pipeline.data.sources import Sample
from pipeline.data.splits import Units, count_units, draw_units, find_group_of
from pipeline.errors import ConfigError, warn

FAR = 0.25  # relative difference from the declared share that deserves a warning
MOST_NAMES = 10  # classes that a sentence names
SEEDS = 100  # that are tried to find better shares
MOST_DRAWN = 1_000_000  # units that are drawn in all tries together
OTHERWISE = (
    "choose splits yourself by folders train/, val/ and test/ or by a column of a table, or add images"
)

Stratum = Callable[[Sample], int | None]
Counts = Mapping[tuple[int | None, str], int]  # class and split -> images


@dataclass(frozen=True)
class Shares:
    """The sizes of splits, and what there is to say about them.

    Args:
        counts: class and split -> number of images; the class is None for images without a single one.
        notes: shares that differ slightly from the declared ones, in sentences.
        warnings: shares that are far from the declared ones, and classes that a split lacks; the last has the way out.
        better: what to set `data.split` to for splits nearer to the declared ones, where there is a warning; None if
            nothing was found.
    """

    counts: Counts
    notes: list[str]
    warnings: list[str]
    better: dict[str, float] | None = None

    def sizes(self) -> dict[str, int]:
        """Return split -> number of images, of all three splits."""
        return count_sizes(self.counts)

    def splits(self) -> list[str]:
        """Return the splits that have images."""
        return [split for split, count in self.sizes().items() if count]

    def report(self) -> None:
        """Write notes and warnings to stderr."""
        sys.stderr.writelines(f"{note}\n" for note in self.notes)
        for text in self.warnings:
            warn(text)


def measure_shares(samples: Sequence[Sample], facts: Facts, stratum: Stratum) -> Shares:
    """Count the images of each class and split, and compare their shares with the declared ones.

    Args:
        stratum: the class of a sample; None if it does not have a single class.
    """
    counts = Counter((stratum(sample), sample.split) for sample in samples)
    asked, sizes = declared_shares(facts), count_sizes(counts)
    far = [split for split, share in asked.items() if _is_far(sizes[split], share * len(samples))]
    is_grouped = _are_grouped(samples, facts)
    warnings = [_describe_far(split, sizes, facts, is_grouped=is_grouped) for split in far]
    warnings += _missing_classes(counts, facts)
    if not asked or not samples:
        return Shares(counts, [], warnings)
    if not warnings:
        is_rounded = all(round(sizes[split] / len(samples) - share, 3) == 0 for split, share in asked.items())
        notes = [] if is_rounded else [f"data.split: of {len(samples):,} images, {_in_words(sizes, asked)}"]
        return Shares(counts, notes, [])
    units = _units(samples, facts, stratum)
    better = _find_better(units, facts)
    hint = OTHERWISE
    if better is not None:
        drawn = count_sizes(_draw(units, better))
        hint = f"data.split={_text(better)} draws {_in_words(drawn, asked)}"
    return Shares(counts, [], [*warnings[:-1], f"{warnings[-1]}; {hint}"], better)


def check_counts(shares: Shares, facts: Facts) -> None:
    """Check that train and val have images, and test, too, where a share of it is declared.

    Raises:
        ConfigError: a split has none; the message names it.
    """
    needed = {"train", "val", *declared_shares(facts)}
    for split in SPLITS:
        if split in needed and split not in shares.splits():
            better = shares.better
            raise ConfigError(
                "data.root",
                f"{facts.root} has no image in the {split} split",
                hint="add images to it or change data.split"
                if better is None
                else f"set data.split={_text(better)}, which draws some for each",
            )


def declared_shares(facts: Facts) -> dict[str, float]:
    """Return the shares of val and test that `data.split` declares; empty if splits are not drawn."""
    if facts.shares is None or facts.has_told_splits or facts.fold is not None:
        return {}
    return {split: facts.shares[split] for split in SPLITS if split in facts.shares}


def count_sizes(counts: Counts) -> dict[str, int]:
    """Return split -> number of images of all classes, of all three splits."""
    sizes = dict.fromkeys(SPLITS, 0)
    for (_, split), count in counts.items():
        sizes[split] += count
    return sizes


def _is_far(count: int, asked: float) -> bool:
    """Return whether a number of images differs from the declared one by more than rounding, and by a quarter."""
    return abs(count - asked) > max(1.0, FAR * asked)


def _are_grouped(samples: Sequence[Sample], facts: Facts) -> bool:
    return facts.groups is not None or any(sample.group is not None for sample in samples)


def _describe_far(split: str, sizes: Mapping[str, int], facts: Facts, *, is_grouped: bool) -> str:
    share, asked = sizes[split] / sum(sizes.values()), declared_shares(facts)[split]
    reason = ", as groups are drawn as wholes" if is_grouped else ""
    return f"data.split: {share:.1%} of the images are in {split}, and {asked:.1%} were asked{reason}"


def _missing_classes(counts: Counts, facts: Facts) -> list[str]:
    """Say which classes are missing from val or test; from train, they are refused."""
    sentences = []
    for split in SPLITS[1:]:
        found = {label for label, each in counts if each == split}
        names = [name for index, name in enumerate(facts.classes) if index not in found]
        if not found or None in found or not names:
            continue
        named = ", ".join(f"'{name}'" for name in names[:MOST_NAMES])
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        sentences.append(f"data.split: {split} has no image of class {named}{more}")
    return sentences


def _in_words(sizes: Mapping[str, int], asked: Mapping[str, float]) -> str:
    total = sum(sizes.values())
    return " and ".join(
        f"{sizes[split] / total:.1%} {split} (asked: {share:.1%})" for split, share in asked.items()
    )


def _text(split: Mapping[str, float]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in split.items())}}}"


def _units(samples: Sequence[Sample], facts: Facts, stratum: Stratum) -> Units:
    is_grouped = _are_grouped(samples, facts)
    names = [sample.unit or sample.file for sample in samples]
    groups = [find_group_of(sample, facts) or "" for sample in samples] if is_grouped else None
    return count_units(
        {name: stratum(sample) or 0 for name, sample in zip(names, samples, strict=True)},
        None if groups is None else dict(zip(names, groups, strict=True)),
    )


def _draw(units: Units, split: Mapping[str, float]) -> Counts:
    counts: Counter[tuple[int | None, str]] = Counter()
    for unit, side in draw_units(units, split).items():
        for label, count in units[unit].items():
            counts[label, side] += count
    return counts


def _find_better(units: Units, facts: Facts) -> dict[str, float] | None:
    """Return the shares with the first seed whose splits lack the fewest classes and differ least from the shares.

    None if no seed is better than the declared one.
    """
    asked, declared = declared_shares(facts), facts.shares or {}

    def lack(seed: float) -> tuple[int, float]:
        counts = _draw(units, {**asked, "seed": seed})
        sizes = count_sizes(counts)
        total = sum(sizes.values())
        return -len(counts), max(abs(sizes[split] / total - share) / share for split, share in asked.items())

    seeds = range(min(SEEDS, MOST_DRAWN // len(units)))
    best = min(seeds, key=lack, default=None)
    is_better = best is not None and lack(best) < lack(declared["seed"])
    return {**asked, "seed": best} if best is not None and is_better else None
