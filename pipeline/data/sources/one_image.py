"""Format `one_image`: one image file, which is training, validation and test image alike.

It is for networks that are an image, and so have nothing to say of others: their scores are those of the image itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.data.archive import Archive
from pipeline.data.entries import check_size, reading, restore
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.folder import Folder
from pipeline.data.sources import Sample, is_image
from pipeline.errors import ConfigError

TARGET = "image"
FEWEST_CLASSES = 0
UNLABELLED = 0  # stands for the class of the image


class ImageFile(Folder):
    """An archive of the only file that is asked for."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(path.parent, max_bytes)
        self._name = path.name

    def names(self) -> list[str]:
        """Return the name of the file."""
        return [self._name]


def check_facts(facts: Facts) -> None:
    """Check that it is said that the image is in all splits, and that nothing is set that would be ignored.

    Raises:
        ConfigError: it is not.
    """
    for name, got, is_allowed, allowed in (
        ("classes", facts.classes, not facts.classes, "[]"),
        ("split", facts.split, facts.split == "folders", "folders"),
        ("groups", facts.groups, facts.groups is None, "null"),
        ("fold", facts.fold, facts.fold is None, "null"),
    ):
        if not is_allowed:
            raise ConfigError(f"data.{name}", got=got, allowed=f"{allowed} with data.format=one_image")
    if not facts.allow_duplicates:
        raise ConfigError(
            "data.allow_duplicates",
            got=False,
            allowed="true with data.format=one_image, whose image is in all splits",
        )


@contextmanager
def opened(facts: Facts) -> Iterator[Archive]:
    """Open the image.

    Raises:
        ConfigError: it is missing, too large, or no image by its suffix.
    """
    path = Path(facts.root)
    if not path.is_file() or not is_image(path.name):
        raise ConfigError("data.root", got=facts.root, allowed="the path of an image", hint=restore(path))
    with reading(path, "the image"):
        check_size(facts.root, path.stat().st_size, facts.max_file_bytes)
    yield ImageFile(path, facts.max_file_bytes)


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the image once for each split."""
    del facts
    return [Sample(name, split, target=UNLABELLED) for split in SPLITS for name in archive.names()]
