"""The facts of a data set, as `conf/data/*.yaml` states them.

Shapes: C channels, H rows, W columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Facts:
    """What is true of a data set, whoever uses it.

    Args:
        name: short name; runs on the same data are compared under it.
        format: how it lies on disk: the name of a module in `pipeline/data/sources`.
        root: a folder or a zip archive.
        digest: `sha256:...` of the archive as `prepare` must find it; null where it is not pinned.
        shape: [C, H, W] of the images that networks see; images are resized to H x W.
        classes: names of the classes, in the order of their indices.
        split: `folders` (train/, val/ and test/ inside), or shares {val: 0.15, test: 0.15, seed: 0} drawn by
            file name, the same for a file whatever is added later.
        groups: a regular expression, searched in the names of images in the archive; those where it finds the same
            text (a writer, a patient, a scan) are never drawn to two sides. The text is that of its capturing
            group, or of the whole match. Null where every image stands alone. Folders are taken as they are.
        fold: {index: 0, of: 5} pools train and val, cuts them into `of` parts and validates on part `index`; the
            test split stays. Null where train and val are as `split` says.
        background: index of the class that mean scores leave out; null where every class counts.
        ignore_label: mask value that is neither learnt nor scored; null where there is none.
        mirror_changes_label: whether a mirrored image may belong to another class, as a digit or letter does.
        licence: licence and origin, for reports.
    """

    name: str
    format: str
    root: str
    digest: str | None
    shape: list[int]
    classes: list[str]
    split: str | dict[str, float]
    groups: str | None
    fold: dict[str, int] | None
    background: int | None
    ignore_label: int | None
    mirror_changes_label: bool
    licence: str

    def __post_init__(self) -> None:
        """Refuse facts that contradict each other, by name."""
        is_shape = len(self.shape) == 3 and all(isinstance(n, int) and n > 0 for n in self.shape)
        if not is_shape or self.shape[0] not in (1, 3):
            raise ConfigError(
                f"data.shape must be [channels, rows, columns] with 1 or 3 channels, got {self.shape}"
            )
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"data.classes must name at least two different classes, got {self.classes}")
        if len(self.classes) > 255:
            raise ConfigError(f"data.classes has {len(self.classes)} names; at most 255 are possible")
        if self.background is not None and not 0 <= self.background < len(self.classes):
            raise ConfigError(
                f"data.background must be null or an index below {len(self.classes)}, got {self.background}"
            )
        if self.ignore_label is not None and not len(self.classes) <= self.ignore_label <= 255:
            raise ConfigError(
                f"data.ignore_label must be null or {len(self.classes)} to 255, which no class uses, "
                f"got {self.ignore_label}"
            )
        _check_split(self.split)
        if self.groups is not None:
            _check_groups(self.groups)
        if self.fold is not None:
            _check_fold(self.fold)

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Facts:
        """Return the facts of a checked config section."""
        return cls(**section)


def _check_split(split: str | Mapping[str, float]) -> None:
    if split == "folders":
        return
    if not isinstance(split, Mapping) or set(split) != {"val", "test", "seed"}:
        raise ConfigError(f"data.split must be folders or {{val: 0.15, test: 0.15, seed: 0}}, got {split!r}")
    val, test = split["val"], split["test"]
    if not (val > 0 and test > 0 and val + test < 1):
        raise ConfigError(
            f"data.split: val {val} and test {test} must be above 0 and leave some to train on; "
            "choose shares that add up to less than 1"
        )


def _check_groups(groups: str) -> None:
    try:
        num_texts = re.compile(groups).groups
    except re.error as reason:
        raise ConfigError(
            f"data.groups must be null or a regular expression, got '{groups}' ({reason}); write one that finds "
            r"what images share in their names, such as patient\d+"
        ) from None
    if num_texts > 1:
        raise ConfigError(
            f"data.groups: '{groups}' has {num_texts} capturing groups, and one names the group; "
            "write (?:...) instead of the other (...)"
        )


def _check_fold(fold: Mapping[str, int]) -> None:
    is_fold = isinstance(fold, Mapping) and set(fold) == {"index", "of"}
    if not is_fold or not all(type(n) is int for n in fold.values()):
        raise ConfigError(f"data.fold must be null or {{index: 0, of: 5}}, got {fold!r}")
    if fold["of"] < 2:
        raise ConfigError(
            f"data.fold: of must be at least 2, to train on one part and validate on another, got {fold['of']}"
        )
    if not 0 <= fold["index"] < fold["of"]:
        raise ConfigError(
            f"data.fold: index must be 0 to {fold['of'] - 1}, as of is {fold['of']}, got {fold['index']}"
        )
