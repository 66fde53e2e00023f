"""Format `class_folders`: one folder per class, `<class>/<image>`, optionally below train/, val/ and test/."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, index_classes, is_image, read_split
from pipeline.data.splits import find_group, split_by_name
from pipeline.errors import ConfigError

TARGET = "label"


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of all splits, sorted by name.

    Raises:
        ConfigError: a folder is not a class, an image is outside the folders of classes or splits, or has no group.
    """
    files = [name for name in archive.names() if is_image(name)]
    classes = index_classes(facts)
    labels = {name: _label(name, archive, facts, classes) for name in files}
    if facts.shares is None:
        splits = {name: read_split(name, archive) for name in files}
    else:
        groups = None if facts.groups is None else {name: find_group(name, facts.groups) for name in files}
        splits = split_by_name(labels, facts.shares, groups=groups)
    return [Sample(name, splits[name], target=labels[name]) for name in files]


def _label(name: str, archive: Archive, facts: Facts, classes: Mapping[str, int]) -> int:
    depth = 1 if facts.split == "folders" else 0
    folders = name.split("/")[:-1]
    if len(folders) <= depth:
        raise ConfigError(
            "data.root",
            f"{archive.root} has an image outside a class folder",
            got=name,
            hint=f"move it to {'<split>/' * depth}<class>/<image>",
        )
    if folders[depth] not in classes:
        raise ConfigError.unknown(
            "data.classes", folders[depth], facts.classes, what=f"class folder in {archive.root}:"
        )
    return classes[folders[depth]]
