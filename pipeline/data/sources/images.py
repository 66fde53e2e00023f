"""Format `images`: images without labels, in any folders, which may be train/, val/ and test/."""

from __future__ import annotations

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample, is_image, read_split
from pipeline.data.splits import find_group, split_by_name
from pipeline.errors import ConfigError

TARGET = "image"
FEWEST_CLASSES = 0
UNLABELLED = 0  # stands for the class of each image


def check_facts(facts: Facts) -> None:
    """Check that no classes are named.

    Raises:
        ConfigError: some are.
    """
    if facts.classes:
        raise ConfigError(
            "data.classes", got=facts.classes, allowed="[] with data.format=images, which has no labels"
        )


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images of all splits, sorted by name.

    Raises:
        ConfigError: an image is outside the folders of splits, or has no group.
    """
    files = [name for name in archive.names() if is_image(name)]
    if facts.shares is None:
        splits = {name: read_split(name, archive) for name in files}
    else:
        groups = None if facts.groups is None else {name: find_group(name, facts.groups) for name in files}
        splits = split_by_name(dict.fromkeys(files, UNLABELLED), facts.shares, groups=groups)
    return [Sample(name, splits[name], target=UNLABELLED) for name in files]
