"""Format `image_masks`: `images/<name>` and `masks/<name>`, optionally below train/, val/ and test/.

A mask has the same stem as its image. It is a one-channel image of class indices, or of the values or colours that
`data.mask_values` maps to classes.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, is_image, read_split
from pipeline.data.splits import find_group, split_by_name
from pipeline.errors import ConfigError

TARGET = "mask"
FACTS = ("mask_values",)
MOST_CLASSES = 255  # a prepared mask holds a byte for each pixel, and 255 is no class


def samples(archive: Archive, facts: Facts, *, masks: str = "masks") -> list[Sample]:
    """List the images of all splits with their masks, sorted by name.

    Args:
        masks: the folder of masks, as errors call it.

    Raises:
        ConfigError: an image has no mask or no group, a mask has no image, two have the same stem, or one is outside
            the folders of images, masks or splits.
    """
    images: dict[str, str] = {}
    targets: dict[str, str] = {}
    for name in filter(is_image, archive.names()):
        kind, key = _place(name, archive, facts)
        found = images if kind == "images" else targets
        if key in found:
            raise ConfigError(
                "data.root",
                f"{archive.root} has two {kind} with the same stem",
                got=[found[key], name],
                hint="rename or remove one",
            )
        found[key] = name
    for key in sorted(images.keys() ^ targets.keys()):
        alone, other, folder = ("image", "mask", masks) if key in images else ("mask", "image", "images")
        raise ConfigError(
            "data.root",
            f"{archive.root} has {'an image without a mask' if alone == 'image' else 'a mask without an image'}",
            got=images.get(key) or targets[key],
            hint=f"add its {other} as {folder}/{PurePosixPath(key).name}.png, or remove the {alone}",
        )
    if facts.shares is None:
        splits = {key: read_split(name, archive) for key, name in images.items()}
    else:
        groups = (
            None if facts.groups is None else {key: find_group(images[key], facts.groups) for key in images}
        )
        splits = split_by_name(dict.fromkeys(images, 0), facts.shares, groups=groups)
    is_drawn = facts.shares is not None
    return [
        Sample(images[key], splits[key], target=targets[key], unit=key if is_drawn else None)
        for key in sorted(images)
    ]


def _place(name: str, archive: Archive, facts: Facts) -> tuple[str, str]:
    """Return `images` or `masks`, and the name without that folder and its suffix."""
    depth = 1 if facts.split == "folders" else 0
    parts = name.split("/")
    if len(parts) <= depth + 1 or parts[depth] not in ("images", "masks"):
        split = "<split>/" * depth
        raise ConfigError(
            "data.root",
            f"{archive.root} has an image outside {split}images/ and {split}masks/",
            got=name,
            hint="move it to one of them",
        )
    rest = PurePosixPath(*parts[:depth], *parts[depth + 1 :])
    return parts[depth], str(rest.with_suffix(""))
