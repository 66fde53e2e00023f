"""Random splits of data sets without predefined ones, and cross-validation folds.

Splits are stratified by class, and have the declared shares as nearly as groups allow. They are a function of names,
classes, groups and the seed, and need no file to remember them: the hash of an image's name, or of its group, decides
alone whether it may ever be a test image or ever a training image. So whatever other images are added or removed,
with the same seed and shares

- no test image becomes a training image, nor the reverse;
- images move between val and the other two splits at most, as many as it takes to keep the shares.

Exact shares and splits in which no image ever moves exclude each other: a rule that fixes the split of each image by
itself leaves the number of test images to chance.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.errors import ConfigError, warn

Units = Mapping[str, Mapping[int, int]]  # group, or file without groups -> class index -> number of images

FOLD_SEED = 0  # fixed, so that all runs share the same folds


def split_by_name(
    labels: Mapping[str, int], shares: Mapping[str, float], *, groups: Mapping[str, str] | None
) -> dict[str, str]:
    """Assign each file to train, val or test, each class in the declared shares.

    Args:
        labels: file name -> class index; the same for all if files have no single class.
        shares: {val, test, seed}, or {val, seed} for no test split.
        groups: file name -> group; a group is assigned as a whole. None to assign every file individually.

    Returns:
        File name -> split.
    """
    drawn = draw_units(count_units(labels, groups), shares)
    return {name: drawn[name if groups is None else groups[name]] for name in labels}


def count_units(labels: Mapping[str, int], groups: Mapping[str, str] | None) -> Units:
    """Return the classes of each group, or of each file where there are no groups."""
    if groups is None:
        single = {label: {label: 1} for label in set(labels.values())}
        return {name: single[label] for name, label in labels.items()}
    units: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for name, label in labels.items():
        units[groups[name]][label] += 1
    return dict(units)


def draw_units(units: Units, shares: Mapping[str, float]) -> dict[str, str]:
    """Assign units as wholes, see `split_by_name`.

    Units are in the order of their hashes, uniform in [0, 1). Test takes from those below test + val / 2, in order, and
    train from the others, in reverse order, until each has its share of every class; val keeps the rest.
    """
    test, val = shares.get("test", 0.0), shares["val"]
    border = test + val / 2 if test else 0.0
    order = sorted((_hash(f"{shares['seed']}/{unit}"), unit) for unit in units)
    below = bisect_left(order, (border,))
    names = [unit for _, unit in order]
    totals: Counter[int] = Counter()
    for counts in units.values():
        for label, count in counts.items():
            totals[label] += count
    drawn = dict.fromkeys(names, "val")
    drawn |= dict.fromkeys(_take(names[:below], units, totals, test), "test")
    return drawn | dict.fromkeys(_take(names[below:][::-1], units, totals, 1 - test - val), "train")


def _take(order: Sequence[str], units: Units, totals: Mapping[int, int], share: float) -> list[str]:
    """Return units, taken in order, that have about a share of the images of every class.

    A first pass takes a unit if that brings the classes nearer to their quotas and does not exceed the quota of all
    images. The distance of a class is the square of what its count lacks, divided by its images. A second pass fills up
    to the quota of all images by units whose classes are below their quotas, as those of few images round down to none.
    """
    taken: list[str] = []
    left: list[str] = []
    lacking = {label: share * total for label, total in totals.items()}
    missing = share * sum(totals.values())
    for is_first, chosen in ((True, order), (False, left)):
        for unit in chosen:
            own, is_taken = units[unit], False
            num_images = sum(own.values())
            if num_images <= missing if is_first else num_images < 2 * missing:
                gain = 0.0
                for label, count in own.items():
                    gain += count * (2 * lacking[label] - is_first * count) / totals[label]
                is_taken = gain > 0
            if is_taken:
                taken.append(unit)
                missing -= num_images
                for label, count in own.items():
                    lacking[label] -= count
            elif is_first:
                left.append(unit)
    return taken


def find_group(file: str, pattern: str) -> str:
    """Return the text that `data.groups` matches in the name of an image.

    Raises:
        ConfigError: there is no match, or an empty one.
    """
    found = re.search(pattern, file)
    text = found[found.re.groups] if found else None  # 0 is the whole match, 1 the capturing group
    if not text:
        raise ConfigError(
            "data.groups",
            f"no group found in the name {file}",
            got=pattern,
            hint="rename the file, or write an expression that finds a group in every name",
        )
    return text


def find_group_of(sample: Sample, facts: Facts) -> str | None:
    """Return the group of a sample, as a table tells it or `data.groups` finds it; None if images have none.

    Raises:
        ConfigError: it has no group, although they are declared.
    """
    if sample.group is not None or facts.groups is None:
        return sample.group
    return find_group(sample.file, facts.groups)


def fold_samples(
    samples: Sequence[Sample], facts: Facts, stratum: Callable[[Sample], int | None]
) -> list[Sample]:
    """Pool train and val, divide them into the parts of `data.fold`, and validate on one of them.

    The parts depend only on names, strata and `of`. Each class has about the same share in every part, as far as groups
    allow; images without a single class are distributed so that parts have similar numbers of groups.

    Args:
        stratum: the class of a sample; None if it does not have a single class.

    Returns:
        The samples in the same order. Those of the test split are unchanged, as are all if there is no fold.

    Raises:
        ConfigError: there are fewer groups or images than parts, or an image has no group.
    """
    if facts.fold is None:
        return list(samples)
    pool = sorted((sample for sample in samples if sample.split != "test"), key=lambda sample: sample.file)
    groups = [find_group_of(sample, facts) or sample.file for sample in pool]
    strata = [stratum(sample) for sample in pool]
    _check_parts(strata, groups, facts, facts.fold["of"])
    parts = _cut(strata, groups, facts.fold["of"])
    if not all(parts):
        raise ConfigError(
            "data.fold.of",
            f"a part would be empty, as each of the {len(set(groups))} groups has few classes",
            got=len(parts),
            hint="choose fewer parts",
        )
    splits = {sample.file: "train" for sample in pool}
    splits |= {pool[index].file: "val" for index in parts[facts.fold["index"]]}
    return [replace(sample, split=splits.get(sample.file, sample.split)) for sample in samples]


def _check_parts(strata: Sequence[int | None], groups: Sequence[str], facts: Facts, num_parts: int) -> None:
    """Raise if there are more parts than groups or images; warn about classes that are missing from some parts."""
    num_groups = len(set(groups))
    unit = "images" if num_groups == len(groups) else "groups (data.columns.group)"
    unit = unit if facts.groups is None else f"groups (data.groups: '{facts.groups}')"
    if num_groups < num_parts:
        raise ConfigError(
            "data.fold.of",
            got=num_parts,
            allowed=f"at most {num_groups}, the number of {unit} in train and val",
            hint="choose fewer parts, or add images",
        )
    images = Counter(strata)
    if max(images.values()) < num_parts:
        raise ConfigError(
            "data.fold.of",
            got=num_parts,
            allowed=f"at most {max(images.values())}, the number of images of the largest class in train and val",
            hint="choose fewer parts, or add images",
        )
    places = Counter(label for label, _ in set(zip(strata, groups, strict=True)))
    for label, count in sorted((label, count) for label, count in places.items() if label is not None):
        if count < num_parts:
            warn(
                f"data.fold: class '{facts.classes[label]}' has {count} {unit} in train and val, so some of the "
                f"{num_parts} parts have none of it"
            )


def _cut(strata: Sequence[int | None], groups: Sequence[str], num_parts: int) -> list[list[int]]:
    """Return the indices of each part."""
    from sklearn import model_selection  # takes a second

    is_each_alone = len(set(groups)) == len(groups)
    kind = "KFold" if is_each_alone else "GroupKFold"  # GroupKFold takes 20 s for 60,000 groups of one image
    if None not in strata:
        kind = f"Stratified{kind}"
    splitter = getattr(model_selection, kind)(num_parts, shuffle=True, random_state=FOLD_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about rare classes, see _check_parts
        parts = splitter.split(strata, strata, None if is_each_alone else groups)
        return [chosen.tolist() for _, chosen in parts]


def _hash(text: str) -> float:
    """Return a number that is uniform in [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
