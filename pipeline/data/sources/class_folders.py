"""Format `class_folders`: one folder per class, `<class>/<image>`, below train/, val/, test/ or not."""

from __future__ import annotations

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, is_image, split_of
from pipeline.data.splits import group_of, split_by_name
from pipeline.errors import ConfigError, closest

TARGET = "label"


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of all splits, sorted by name.

    Raises:
        ConfigError: a folder that is no class, a file outside the folders of the splits or in no group.
    """
    files = [name for name in archive.names() if is_image(name)]
    labels = {name: _label(name, archive, facts) for name in files}
    if isinstance(facts.split, str):
        splits = {name: split_of(name, archive) for name in files}
    else:
        groups = None if facts.groups is None else {name: group_of(name, facts.groups) for name in files}
        splits = split_by_name(labels, facts.split, groups=groups)
    return [Sample(name, splits[name], label=labels[name]) for name in files]


def _label(name: str, archive: Archive, facts: Facts) -> int:
    depth = 1 if facts.split == "folders" else 0
    folders = name.split("/")[:-1]
    if len(folders) <= depth:
        raise ConfigError(
            f"data.root: {archive.root} has {name} outside a class folder; "
            f"expected {'<split>/' * depth}<class>/<image>"
        )
    if folders[depth] not in facts.classes:
        raise ConfigError(
            f"data.classes: {archive.root} has the folder '{folders[depth]}', which is no class; "
            f"{closest(folders[depth], facts.classes)}"
        )
    return facts.classes.index(folders[depth])
