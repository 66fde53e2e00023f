"""Random splits of data sets without predefined ones, and cross-validation folds.

Each file is assigned by a hash of its name, its class and the seed, or of its group and the seed, so that adding files
never moves an existing one from the test split into training.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.errors import ConfigError, warn

FOLD_SEED = 0  # fixed, so that all runs share the same folds


def split_by_name(
    labels: Mapping[str, int], shares: Mapping[str, float], *, groups: Mapping[str, str] | None
) -> dict[str, str]:
    """Assign each file to train, val or test.

    Args:
        labels: file name -> class index; each class is split in the same proportions, in expectation.
        shares: {val, test, seed}; val and test are probabilities.
        groups: file name -> group; a group is assigned as a whole, regardless of its classes. None to assign every
            file individually.

    Returns:
        File name -> split.
    """
    if groups is not None:
        return {name: _split(f"{shares['seed']}/{groups[name]}", shares) for name in labels}
    return {name: _split(f"{shares['seed']}/{label}/{name}", shares) for name, label in labels.items()}


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
    groups = [_group(sample, facts) for sample in pool]
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


def _group(sample: Sample, facts: Facts) -> str:
    if sample.group is not None:
        return sample.group
    return sample.file if facts.groups is None else find_group(sample.file, facts.groups)


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


def _split(text: str, shares: Mapping[str, float]) -> str:
    draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    if draw < shares["test"]:
        return "test"
    return "val" if draw < shares["test"] + shares["val"] else "train"
