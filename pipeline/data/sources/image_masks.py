"""Format `image_masks`: `images/<name>` and `masks/<name>`, below train/, val/, test/ or not.

A mask is a one-channel image whose value is the class index; image and mask share their stem.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, is_image, split_of
from pipeline.data.splits import group_of, split_by_name
from pipeline.errors import ConfigError

TARGET = "mask"


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of all splits with their masks, sorted by name.

    Raises:
        ConfigError: an image without a mask, a mask without an image, a file in neither folder, or an image in no
            group.
    """
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    for name in filter(is_image, archive.names()):
        kind, key = _place(name, archive, facts)
        found = images if kind == "images" else masks
        if key in found:
            raise ConfigError(f"{archive.root}: {found[key]} and {name} share a stem; rename one")
        found[key] = name
    for key in sorted(images.keys() ^ masks.keys()):
        alone, other = ("image", "mask") if key in images else ("mask", "image")
        raise ConfigError(
            f"{archive.root}: {alone} {images.get(key) or masks[key]} has no {other}; add "
            f"{other}s/{PurePosixPath(key).name} beside it or remove the {alone}"
        )
    if isinstance(facts.split, str):
        splits = {key: split_of(name, archive) for key, name in images.items()}
    else:
        groups = (
            None if facts.groups is None else {key: group_of(images[key], facts.groups) for key in images}
        )
        splits = split_by_name(dict.fromkeys(images, 0), facts.split, groups=groups)
    return [Sample(images[key], splits[key], mask=masks[key]) for key in sorted(images)]


def _place(name: str, archive: Archive, facts: Facts) -> tuple[str, str]:
    """Return `images` or `masks`, and the name without that folder and without suffix."""
    depth = 1 if facts.split == "folders" else 0
    parts = name.split("/")
    if len(parts) <= depth + 1 or parts[depth] not in ("images", "masks"):
        raise ConfigError(
            f"{archive.root}: {name} is neither in images/ nor in masks/; "
            f"expected {'<split>/' * depth}images/<name> and {'<split>/' * depth}masks/<name>"
        )
    rest = PurePosixPath(*parts[:depth], *parts[depth + 1 :])
    return parts[depth], str(rest.with_suffix(""))
