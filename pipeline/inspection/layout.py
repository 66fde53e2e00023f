"""The layout of somebody's images: which format they have, and the facts that follow from names alone."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from pipeline.data.archive import Archive, opened
from pipeline.data.entries import reading
from pipeline.data.facts import SPLITS
from pipeline.data.sources import is_image
from pipeline.data.sources.class_masks import find_classes
from pipeline.data.tables import is_table
from pipeline.errors import ConfigError
from pipeline.inspection.columns import Labels, find_labels, find_pixels, list_labels, read_any
from pipeline.inspection.places import find_place_table, find_places

PAIR = {"images", "masks"}
# What others call our splits.
ALIASES = {
    **dict.fromkeys(("training", "Train", "TRAIN", "Training"), "train"),
    **dict.fromkeys(("valid", "validation", "Val", "VAL", "dev", "Validation"), "val"),
    **dict.fromkeys(("testing", "Test", "TEST", "Testing"), "test"),
}
BACKGROUND = "background"  # what no file of a class marks
NOTHING = Labels()  # the user says nothing of them
UNDECIDED = ["a", "b"]  # classes, until the masks have been read


def find_layout(
    path: Path, *, table: Path | None = None, labels: Labels = NOTHING, max_bytes: int
) -> dict[str, Any]:
    """Return the facts that names and tables tell: format, root, split, classes, table, columns and separator.

    Args:
        path: a folder, a zip or a table.
        table: of labels, if the user named it beside a folder or zip.
        labels: what the user says of the labels in a table.
        max_bytes: size of the largest file that is read.

    Raises:
        ConfigError: there are no images, or they lie in no layout that can be read.
    """
    if table is not None:
        return _beside(path, table, labels, max_bytes)
    if path.is_file() and is_table(path.name):
        return _of_table(path, labels, max_bytes)
    with opened(path, max_bytes=max_bytes) as archive:
        every = archive.names()
        names = [name for name in every if is_image(name)]
        inner = None if names else _find_zip(archive)
        if not names and inner is None:
            raise ConfigError(str(path), *_no_images(archive))
        places = None if labels.column or inner else find_places(path, archive, max_bytes=max_bytes)
        facts = places or (None if labels.column or inner else _of_folders(path, names))
        tables = list(filter(is_table, every))
        if facts is None and inner is None:
            for name in tables:
                facts = facts or _of_labels(path, name, archive, labels, is_named=False)
    if inner is not None:
        return _of_zip_in_folder(inner, [path / name for name in tables], labels, max_bytes)
    if facts is not None:
        return facts
    if labels.column:
        raise ConfigError(
            "label", "no table names the images", got=labels.column, hint="name the CSV file itself"
        )
    raise ConfigError(
        str(path),
        f"has {len(names):,} images in no layout that is known, such as {min(names)}",
        hint="put the images of a class into a folder of its name, <class>/<image>, or images and their masks into "
        "images/ and masks/, either also below train/, val/ and test/; or add a CSV file of file names and labels",
    )


def _of_zip_in_folder(path: Path, tables: Sequence[Path], labels: Labels, max_bytes: int) -> dict[str, Any]:
    """Return the facts of the only zip in a folder, with the first table beside it that names its images."""
    for table in tables:
        facts = _try_beside(path, table, labels, max_bytes, is_named=False)
        if facts is not None:
            return facts
    return find_layout(path, labels=labels, max_bytes=max_bytes)


def _beside(path: Path, table: Path, labels: Labels, max_bytes: int) -> dict[str, Any]:
    facts = _try_beside(path, table, labels, max_bytes)
    if facts is None:
        raise ConfigError(
            str(table),
            f"has no column that names images of {path}",
            hint="write names relative to its top, or their last parts, as long as no two files share them",
        )
    return facts


def _try_beside(
    path: Path, table: Path, labels: Labels, max_bytes: int, *, is_named: bool = True
) -> dict[str, Any] | None:
    """Return the facts of a folder or zip with a table of labels elsewhere; None if that names none of its images."""
    with opened(path, max_bytes=max_bytes) as archive:
        name = os.path.relpath(table.absolute(), path.absolute())
        if not name.startswith(".."):
            name = PurePath(name).as_posix()
            return _of_labels(path, name, archive, labels, is_named=is_named)
        with reading(table.parent, table.name):
            data = table.read_bytes()
        return _of_labels(path, PurePath(name).as_posix(), archive, labels, data=data, is_named=is_named)


def _find_zip(archive: Archive) -> Path | None:
    """Return the only zip in a folder."""
    zips = [name for name in archive.names() if name.lower().endswith(".zip")]
    return archive.root / zips[0] if len(zips) == 1 and archive.root.is_dir() else None


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
        return {"format": "image_masks", **facts, "classes": UNDECIDED} | _of_class_masks(names)
    if folders.total() == len(names) and len(folders) > 1:
        return {"format": "class_folders", **facts, "classes": sort_names(folders)}
    return None


def _of_class_masks(names: Sequence[str]) -> dict[str, Any]:
    """Return the facts of masks per class; empty if each image has one mask."""
    counts = find_classes(names)
    if counts is None:
        return {}
    classes = sort_names(counts)
    if BACKGROUND in classes:
        return {"format": "class_masks", "classes": classes, "background": BACKGROUND}
    return {"format": "class_masks", "classes": [BACKGROUND, *classes], "background": BACKGROUND}


def _of_table(path: Path, labels: Labels, max_bytes: int) -> dict[str, Any]:
    """Return the facts of a table that the user named: of pixels, or of labels for the images around it."""
    with opened(path.parent, max_bytes=max_bytes) as archive:
        table = read_any(archive.read(path.name), path.name, max_bytes=max_bytes, told=labels)
        columns = find_pixels(table, labels.column)
        if columns is not None:
            column = table.find(columns["label"], path="data.columns.label")
            classes = sort_names(list_labels([row[column] for row in table.rows], None))
            return {"format": "csv_pixels", "root": str(path), "columns": columns, "classes": classes}
        facts = (
            None if labels.column else find_place_table(path.parent, path.name, archive, max_bytes=max_bytes)
        )
        facts = facts or _of_labels(path.parent, path.name, archive, labels)
        inner = _find_zip(archive)
    if facts is None and inner is not None:
        facts = _try_beside(inner, path, labels, max_bytes)
    if facts is None:
        raise ConfigError(
            str(path),
            "holds neither pixels, nor a column of names of images beside it",
            got=list(table.header or table.rows[0])[:6],
            hint="write names relative to its folder, suffixes included",
        )
    return facts


def _of_labels(
    path: Path,
    name: str,
    archive: Archive,
    labels: Labels,
    *,
    data: bytes | None = None,
    is_named: bool = True,
) -> dict[str, Any] | None:
    """Return the facts of a table of labels; None if it is none.

    Args:
        data: its contents, if it lies outside of the archive.
        is_named: whether the user named it; any other is passed over if it cannot be read.

    Raises:
        ConfigError: the user named it, and it cannot be read; or what the user says of labels does not fit it.
    """
    try:
        contents = archive.read(name) if data is None else data
        table = read_any(contents, name, max_bytes=2**28, told=labels)
    except ConfigError:
        if is_named:
            raise
        return None
    found = find_labels(table, archive, labels)
    if found is None:
        return None
    has_columns = isinstance(found.columns["label"], list)  # whose order is that of the classes
    return {
        "format": "csv_labels",
        "root": str(path),
        "table": name,
        "columns": found.columns,
        "classes": found.labels if has_columns else sort_names(found.labels),
    } | ({"separator": found.separator} if found.separator else {})


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
