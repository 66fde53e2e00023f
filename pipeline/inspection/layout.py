"""The layout of somebody's images: which format they have, and the facts that follow from names alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.data.archive import Archive, opened
from pipeline.data.facts import SPLITS
from pipeline.data.sources import is_image
from pipeline.data.tables import is_table
from pipeline.errors import ConfigError
from pipeline.inspection.columns import find_labels, find_pixels, list_labels, read_any

PAIR = {"images", "masks"}
# What others call our splits.
ALIASES = {
    **dict.fromkeys(("training", "Train", "TRAIN", "Training"), "train"),
    **dict.fromkeys(("valid", "validation", "Val", "VAL", "dev", "Validation"), "val"),
    **dict.fromkeys(("testing", "Test", "TEST", "Testing"), "test"),
}
UNDECIDED = ["a", "b"]  # classes, until the masks have been read


def find_layout(path: Path, *, label: str | None = None, max_bytes: int) -> dict[str, Any]:
    """Return the facts that names and tables tell: format, root, split, classes, table and columns.

    Args:
        label: the column of labels in a table; None to find it.
        max_bytes: size of the largest file that is read.

    Raises:
        ConfigError: there are no images, or they lie in no layout that can be read.
    """
    if path.is_file() and is_table(path.name):
        return _of_table(path, label, max_bytes)
    with opened(path, max_bytes=max_bytes) as archive:
        names = [name for name in archive.names() if is_image(name)]
        if not names:
            raise ConfigError(str(path), *_no_images(archive))
        facts = None if label else _of_folders(path, names)
        if facts is None:
            for name in filter(is_table, archive.names()):
                facts = facts or _of_labels(path, name, archive, label)
    if facts is not None:
        return facts
    if label:
        raise ConfigError("label", "no table names the images", got=label, hint="name the CSV file itself")
    raise ConfigError(
        str(path),
        f"has {len(names):,} images in no layout that is known, such as {min(names)}",
        hint="put the images of a class into a folder of its name, <class>/<image>, or images and their masks into "
        "images/ and masks/, either also below train/, val/ and test/; or add a CSV file of file names and labels",
    )


def _of_folders(path: Path, names: Sequence[str]) -> dict[str, Any] | None:
    """Return the facts of class folders, or of images and masks; None if it is neither."""
    top, inner = _descend(names)
    if top and path.is_dir():
        path, names = path / top, inner
    tops = {name.split("/")[0] for name in names if "/" in name}
    _check_splits(path, tops)
    has_splits = {"train", "val"} <= tops <= set(SPLITS)
    facts = {"root": str(path), **({"split": "folders"} if has_splits else {})}
    depth = int(has_splits)
    folders = Counter(parts[depth] for name in names if len(parts := name.split("/")) > depth + 1)
    if folders.keys() >= PAIR:
        return {"format": "image_masks", **facts, "classes": UNDECIDED}
    if folders.total() == len(names) and len(folders) > 1:
        return {"format": "class_folders", **facts, "classes": sort_names(folders)}
    return None


def _of_table(path: Path, label: str | None, max_bytes: int) -> dict[str, Any]:
    """Return the facts of a table that the user named: of pixels, or of labels for the images around it."""
    with opened(path.parent, max_bytes=max_bytes) as archive:
        table = read_any(archive.read(path.name), path.name, max_bytes=max_bytes)
        columns = find_pixels(table, label)
        if columns is not None:
            classes = sort_names(list_labels(table, columns))
            return {"format": "csv_pixels", "root": str(path), "columns": columns, "classes": classes}
        facts = _of_labels(path.parent, path.name, archive, label)
    if facts is None:
        raise ConfigError(
            str(path),
            "holds neither pixels, nor a column of names of images beside it",
            got=list(table.header or table.rows[0])[:6],
            hint="write names relative to its folder, suffixes included",
        )
    return facts


def _of_labels(path: Path, name: str, archive: Archive, label: str | None) -> dict[str, Any] | None:
    """Return the facts of a table of labels; None if it is none."""
    try:
        table = read_any(archive.read(name), name, max_bytes=2**28)
    except ConfigError:  # another table, which nobody named
        return None
    columns = find_labels(table, archive, label)
    if columns is None:
        return None
    classes = sort_names(list_labels(table, columns))
    return {"format": "csv_labels", "root": str(path), "table": name, "columns": columns, "classes": classes}


def sort_names(names: Mapping[str, int] | Sequence[str]) -> list[str]:
    """Return names in order; numbers in the order of their values."""
    return sorted(names, key=lambda name: (int(name), name) if all(map(_is_number, names)) else (0, name))


def make_name(path: Path) -> str:
    """Return a name for a data set, made of that of its folder or file."""
    stem = path.resolve().name.split(".")[0]
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return name if name[:1].isalpha() else f"data_{name}".rstrip("_")


def _descend(names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the folder that all images lie in, where it is neither a class nor a split, and their names below it."""
    top = ""
    while True:
        inner = [name.removeprefix(top) for name in names]
        tops = {name.split("/")[0] for name in inner}
        if len(tops) > 1 or min(name.count("/") for name in inner) < 2 or tops <= {*SPLITS, *PAIR}:
            return top, inner
        top += f"{tops.pop()}/"


def _check_splits(path: Path, tops: set[str]) -> None:
    """Raise if the folders on top are splits by other names, or lack train or val."""
    known = {name for name in tops if name in SPLITS or name in ALIASES}
    if not known or known != tops:
        return
    renamed = {name: ALIASES[name] for name in sorted(tops) if name in ALIASES}
    if renamed:
        ways = ", ".join(f"{name}/ to {split}/" for name, split in renamed.items())
        raise ConfigError(str(path), "has splits by other names", got=sorted(tops), hint=f"rename {ways}")
    missing = [split for split in ("train", "val") if split not in tops]
    if missing:
        raise ConfigError(
            str(path),
            f"has no {' and no '.join(missing)} folder",
            got=sorted(tops),
            hint=f"move some images into {missing[0]}/, or all images out of the folders of splits to have them drawn",
        )


def _no_images(archive: Archive) -> tuple[str]:
    suffixes = Counter(Path(name).suffix or "no suffix" for name in archive.names())
    others = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common(3))
    return (f"has no images{f', only other files: {others}' if others else ''}",)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10
