"""Table of the report: how many images each class has in each split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import read_json

MOST_CLASSES = 30  # rows that are shown at once


@dataclass(frozen=True)
class ImageCounts:
    """Numbers of images.

    Args:
        total: split -> number of images.
        rows: (class, its number of images in each split); an image may have several classes, or none.
    """

    total: dict[str, int]
    rows: list[tuple[str, list[int]]]

    @property
    def is_long(self) -> bool:
        """Whether there are too many classes to be shown at once."""
        return len(self.rows) > MOST_CLASSES

    @classmethod
    def load(cls, prepared: Path, classes: Sequence[str]) -> ImageCounts:
        """Return the numbers of a prepared data set; no class has a row if its images were not counted by class."""
        about = read_json(prepared / "prepared.json")
        counts = about.get("images_of_classes", {})
        columns = [counts[split] for split in about["counts"] if split in counts]
        rows = [(name, list(row)) for name, row in zip(classes, zip(*columns, strict=True), strict=False)]
        return cls(about["counts"], rows)
