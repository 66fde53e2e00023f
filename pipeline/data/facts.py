"""The facts of a data set, as given in `conf/data/*.yaml`.

Shapes: C channels, H rows, W columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.data.degrade_facts import check_degrade
from pipeline.data.pixel_facts import check_resizing, check_value_range
from pipeline.data.place_facts import check_places
from pipeline.errors import ConfigError, Range
from pipeline.storage.names import check_name

SPLITS = ("train", "val", "test")
SPLIT_NAME = "{split}"  # in the name of a table: there is one for each split
RANDOM = {"val": 0.15, "test": 0.15, "seed": 0}  # what `split: random` stands for
COLOUR = re.compile(r"#[0-9a-f]{6}")
# Facts that do not decide the prepared data: the archive's own digest does.
NOT_DECIDING = (
    "name",
    "root",
    "digest",
    "licence",
    "background",
    "mirror_changes_label",
    "max_pixels",
    "max_file_bytes",
)
# Facts that came later, and their values in data that existed before: digests and files leave them out at these.
NEUTRAL: dict[str, Any] = {"points": None, "swapped_points": None, "min_visible": 0.25, "degrade": None}


@dataclass(frozen=True)
class Facts:
    """Properties of a data set that hold for every experiment on it.

    What most data sets leave out has its default in `conf/facts/default.yaml`.

    Args:
        name: short name, under which runs on the same data are compared.
        format: layout on disk: the name of a module in `pipeline/data/sources`.
        root: a folder or a zip archive.
        digest: expected digest of the archive, `sha256:...`; null to accept any.
        shape: [C, H, W] of the prepared images; images are resized to H x W.
        resize: how: `squash` changes their aspect ratio, `letterbox` keeps it and pads, `crop` keeps it and cuts out
            the centre, `cut` cuts the centre out of their own pixels, see `pipeline/data/resizing.py`. Masks are padded
            with `ignore_label`.
        padding_value: grey level of the padding of images, from 0 to 255, in all channels.
        value_range: [low, high] of grey images with 16 bits or whole numbers as floats, which become 0 and 255; values
            outside are clipped. Null for images with 8 bits per channel.
        classes: names of the classes, in the order of their indices.
        split: `folders` (train/, val/ and, unless there is no test split, test/ inside); `random` for `RANDOM`; or
            other shares {val: 0.2, test: 0.1, seed: 0}. They are drawn for each class by the hashes of names: whatever
            images are added, none moves from test to train, see `pipeline/data/splits.py`. Without `test`, or where it
            is null, there is no test split.
        groups: a regular expression, searched in the names of images in the archive; images with the same match (a
            writer, a patient, a scan) are assigned to the same split. The match is its capturing group if it has one,
            else the whole match. Null if every image is its own group. `split: folders` is not changed by it, but folds
            and the intervals of test scores are.
        fold: {index: 0, of: 5} pools train and val, cuts them into `of` parts and validates on part `index`; the
            test split is unchanged. Null to use train and val as `split` defines them.
        background: name of the class to exclude from mean scores; null to include every class.
        ignore_label: mask value to exclude from loss and scores; null if there is none.
        table: for tables and `coco`: name of the file of labels in the archive, or if it lies outside, its path
            relative to the archive, such as `../labels.csv` for one beside it; null for other formats. `{split}` in its
            name, with `coco`, stands for train, val and test, which have a file each.
        columns: for tables: the columns that hold what, such as {file: image, label: class, group: patient}; by name if
            the table has a header, else by number from 0. A column `split` takes the place of the fact `split`, and
            `group` that of `groups`. A list of columns as `label` means several labels per image: one column for each
            class, in the order of `classes`, which holds 0 or 1. Null for other formats.
        separator: for several labels per image in one column: the text between them, such as "|"; null if the column
            holds a single label.
        mask_values: for masks whose values are no class indices: the class of each value, such as {0: other, 255:
            cell}, or of each colour, such as {"#ff0000": car}; null as a class for what `ignore_label` stands for.
            Null if values are class indices.
        points: for points: their names, in the order of their indices; null for other formats.
        swapped_points: for points: what a mirror image swaps, such as {left_eye: right_eye}; {} if it swaps none; null
            if that is not known, and images must not be mirrored.
        min_visible: for boxes: the share of a box's area from which on its object counts as seen in an image that cuts
            it; others are dropped. An area of less than one pixel is dropped, too.
        degrade: how images are degraded for tasks that restore them, see `pipeline/data/degrading.py`: {noise: 25}, by
            noise of that standard deviation, {factor: 2}, to half the rows and columns, or both; null for other tasks.
        allow_duplicates: whether files of the same bytes may be in several splits, where they make scores too good.
        mirror_changes_label: whether a mirrored image may belong to another class, as a digit or letter does.
        licence: licence and origin, for reports.
        max_pixels: rows times columns of the largest image or mask that is decoded, which takes up to 8 bytes of memory
            for each pixel in each thread; also of `shape`. A larger one is refused before memory is taken.
        max_file_bytes: size of the largest file that is read, uncompressed; a larger one is refused likewise.
    """

    name: str
    format: str
    root: str
    digest: str | None
    shape: list[int]
    classes: list[str]
    split: str | dict[str, float | None]
    groups: str | None
    fold: dict[str, int] | None
    background: str | None
    ignore_label: int | None
    mirror_changes_label: bool
    licence: str
    max_pixels: int
    max_file_bytes: int
    table: str | None
    columns: dict[str, str | int | list[str | int]] | None
    separator: str | None
    mask_values: dict[str | int, str | None] | None
    points: list[str] | None
    swapped_points: dict[str, str] | None
    min_visible: float
    degrade: dict[str, float] | None
    allow_duplicates: bool
    resize: str
    padding_value: int
    value_range: list[int] | None

    def __post_init__(self) -> None:
        """Raise if values are out of range or contradict each other."""
        check_name("data.name", self.name)
        is_shape = len(self.shape) == 3 and all(isinstance(n, int) and n > 0 for n in self.shape)
        if not is_shape or self.shape[0] not in (1, 3):
            raise ConfigError(
                "data.shape", got=self.shape, allowed="[channels, rows, columns] with 1 or 3 channels"
            )
        self._check_bounds()
        check_resizing(self.resize, self.padding_value)
        check_value_range(self.value_range)
        check_places(self.points, self.swapped_points, self.min_visible)
        check_degrade(self.degrade, self.shape)
        if len(set(self.classes)) < len(self.classes):
            raise ConfigError("data.classes", got=self.classes, allowed="different names")
        if self.background is not None and self.background not in self.classes:
            raise ConfigError.unknown("data.background", self.background, self.classes, what="class")
        if self.ignore_label is not None and not len(self.classes) <= self.ignore_label <= 255:
            raise ConfigError(
                "data.ignore_label",
                got=self.ignore_label,
                allowed=f"null or a value from {len(self.classes)} to 255, beyond the class indices",
            )
        if self.mask_values is not None:
            self._check_mask_values(self.mask_values)
        _check_digest(self.digest)
        _check_split(self.split)
        if self.groups is not None:
            _check_groups(self.groups)
        if self.fold is not None:
            _check_fold(self.fold)

    @property
    def shares(self) -> dict[str, float] | None:
        """Return the shares {val, test, seed} to draw splits by, without test if there is none; None for folders."""
        if isinstance(self.split, str):
            return None if self.split == "folders" else dict(RANDOM)
        return {key: value for key, value in self.split.items() if value is not None}

    def deciding(self) -> dict[str, Any]:
        """Return the facts that decide the prepared data beside the archive."""
        facts = {name: value for name, value in vars(self).items() if name not in NOT_DECIDING}
        return without_neutral(facts)

    @property
    def has_told_splits(self) -> bool:
        """Return whether a table tells the split of each image, in a column or by its name."""
        return "split" in (self.columns or {}) or SPLIT_NAME in (self.table or "")

    def mask_indices(self) -> dict[Any, int] | None:
        """Return what each value or colour of masks is stored as: a class index or the ignore label."""
        if self.mask_values is None:
            return None
        indices = {name: index for index, name in enumerate(self.classes)}
        return {
            value: indices[name]
            if name is not None
            else self.ignore_label or 0  # where null, no value is ignored
            for value, name in self.mask_values.items()
        }

    def _check_mask_values(self, values: Mapping[str | int, str | None]) -> None:
        """Raise if values of masks are neither numbers nor colours, or do not mean all classes."""
        is_number = [type(value) is int and 0 <= value <= 65535 for value in values]
        is_colour = [isinstance(value, str) and COLOUR.fullmatch(value) is not None for value in values]
        if not values or not (all(is_number) or all(is_colour)):
            raise ConfigError(
                "data.mask_values",
                got=dict(values),
                allowed='values from 0 to 65535 or colours such as "#ff0000", in quotes, and their classes',
            )
        for name in values.values():
            if name is not None and name not in self.classes:
                raise ConfigError.unknown("data.mask_values", name, self.classes, what="class")
        for name in self.classes:
            if name not in values.values():
                raise ConfigError(
                    "data.mask_values", f"no value is class '{name}'", hint="add one, or remove the class"
                )
        if None in values.values() and self.ignore_label is None:
            raise ConfigError(
                "data.mask_values",
                "a value is null, to be ignored, but data.ignore_label is null",
                hint="set data.ignore_label=255",
            )

    def _check_bounds(self) -> None:
        """Raise if a bound on what is read is none, or the prepared images exceed it."""
        for name in ("max_pixels", "max_file_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"data.{name}", got=getattr(self, name), allowed="at least 1")
        if self.shape[1] * self.shape[2] > self.max_pixels:
            raise ConfigError(
                "data.shape",
                f"images of {self.shape[1]:,} x {self.shape[2]:,} pixels have more than data.max_pixels="
                f"{self.max_pixels}",
                got=self.shape,
                hint="choose a smaller shape, or raise data.max_pixels",
            )
        if not self.root or "\0" in self.root:
            raise ConfigError("data.root", got=self.root, allowed="the path of a folder or a zip file")


def without_neutral(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts without those that came later and say nothing, so that digests of older data stay the same."""
    return {name: value for name, value in facts.items() if name not in NEUTRAL or value != NEUTRAL[name]}


def _check_digest(digest: str | None) -> None:
    if digest is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ConfigError("data.digest", got=digest, allowed="null or sha256: with 64 hexadecimal digits")


def _check_split(split: str | Mapping[str, float | None]) -> None:
    if split in ("folders", "random"):
        return
    shares = (
        {} if isinstance(split, str) else {key: value for key, value in split.items() if value is not None}
    )
    if set(shares) not in ({"val", "test", "seed"}, {"val", "seed"}):
        raise ConfigError(
            "data.split",
            got=split,
            allowed="folders, random, {val: 0.15, test: 0.15, seed: 0} or, for no test split, {val: 0.15, seed: 0}",
        )
    Range(least=0, is_whole=True).check("data.split.seed", shares.pop("seed"))
    if not (min(shares.values()) > 0 and sum(shares.values()) < 1):
        raise ConfigError(
            "data.split",
            got=split,
            allowed="shares above 0 for val and test that sum to less than 1",
            hint="leave the rest for training, and test out for no test split",
        )


def _check_groups(groups: str) -> None:
    try:
        num_capturing = re.compile(groups).groups
    except re.error as reason:
        raise ConfigError(
            "data.groups",
            f"not a valid regular expression ({reason})",
            got=groups,
            hint=r"write one that matches what images of a group share in their names, such as patient\d+",
        ) from None
    if not groups:
        raise ConfigError(
            "data.groups",
            got=groups,
            allowed="null or an expression that is not empty, as it matches everything",
        )
    if num_capturing > 1:
        raise ConfigError(
            "data.groups",
            got=groups,
            allowed="null or a regular expression with at most one capturing group",
            hint="write (?:...) for the others",
        )


def _check_fold(fold: Mapping[str, int]) -> None:
    is_fold = isinstance(fold, Mapping) and set(fold) == {"index", "of"}
    if not is_fold or not all(type(n) is int for n in fold.values()):
        raise ConfigError("data.fold", got=fold, allowed="null or {index: 0, of: 5}")
    if fold["of"] < 2:
        raise ConfigError(
            "data.fold.of",
            got=fold["of"],
            allowed="at least 2",
            hint="set data.fold=null to train without folds",
        )
    if not 0 <= fold["index"] < fold["of"]:
        raise ConfigError(
            "data.fold.index",
            got=fold["index"],
            allowed=f"from 0 to {fold['of'] - 1} with data.fold.of={fold['of']}",
        )
