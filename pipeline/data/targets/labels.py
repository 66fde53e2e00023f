"""Labels: any number of classes per image, stored as 0 or 1 for each of the K classes (N, K)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import Array, TargetKind
from pipeline.errors import ConfigError


class Labels(TargetKind):
    """The classes that an image has; a sample's target is the tuple of their indices, which may be empty."""

    name = "labels"

    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return (K,) for K classes."""
        return (len(facts.classes),)

    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return 1 for each class that the image has, 0 for the others: (K,)."""
        del archive, image
        present = np.zeros(len(facts.classes), dtype=np.uint8)
        present[list(_indices(sample))] = 1
        return present

    def named(self, sample: Sample) -> tuple[int, ...]:
        """Return the classes that the image has."""
        return _indices(sample)

    def count(self, targets: Array, num_classes: int) -> list[int]:
        """Return how many images have each class."""
        del num_classes
        return [int(count) for count in targets.sum(axis=0, dtype=np.int64)]

    def present(self, target: Any) -> NDArray[np.intp]:
        """Return the classes that the image has."""
        return np.flatnonzero(target)

    def check(self, samples: Sequence[Sample], facts: Facts) -> None:
        """Check that some training images have each class, and some do not.

        Raises:
            ConfigError: none or all of them have it; the message names the class.
        """
        sets = [set(_indices(sample)) for sample in samples if sample.split == "train"]
        counts = Counter(index for each in sets for index in each)
        for index, name in enumerate(facts.classes):
            count = counts[index]
            if count in (0, len(sets)):
                raise ConfigError(
                    "data.classes",
                    f"{'no' if count == 0 else 'every'} training image of {facts.root} has the class '{name}'",
                    hint=f"add some that {'have it' if count == 0 else 'do not'}, or remove the class",
                )

    def caption(self, target: Any, classes: Sequence[str]) -> str:
        """Return the names of the classes that the image has, or that it has none."""
        return ", ".join(classes[index] for index in map(int, np.flatnonzero(target))) or "no class"


def _indices(sample: Sample) -> tuple[int, ...]:
    return cast(tuple[int, ...], sample.target)


KIND = Labels()
