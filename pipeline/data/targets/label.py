"""Labels: one class per image, stored as its index (N,)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import Array, TargetKind
from pipeline.errors import ConfigError

LARGEST = {"uint8": 2**8 - 1, "int16": 2**15 - 1, "int32": 2**31 - 1}  # number of each type


class Label(TargetKind):
    """The index of a class; a sample's target is that index."""

    name = "label"

    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return (): a label is a number."""
        del facts
        return ()

    def dtype(self, facts: Facts) -> np.dtype[Any]:
        """Return the smallest type that holds the index of every class, among those that torch computes with."""
        last = len(facts.classes) - 1
        return np.dtype(next(name for name, largest in LARGEST.items() if last <= largest))

    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return the label as an array of shape ()."""
        del archive, image
        return np.array(sample.target, dtype=self.dtype(facts))

    def stratum(self, sample: Sample) -> int | None:
        """Return the label."""
        assert isinstance(sample.target, int)
        return sample.target

    def labels(self, targets: Array) -> Array:
        """Return the labels, as they are."""
        return targets

    def check(self, samples: Sequence[Sample], facts: Facts) -> None:
        """Check that every class has a training image.

        Raises:
            ConfigError: a class has none; the message names it.
        """
        present = {sample.target for sample in samples if sample.split == "train"}
        for index, name in enumerate(facts.classes):
            if index not in present:
                raise ConfigError(
                    "data.classes",
                    f"{facts.root} has no training image of class '{name}'",
                    hint="add some or remove the class",
                )

    def caption(self, target: Any, classes: Sequence[str]) -> str:
        """Return the name of the class."""
        return classes[int(target)]


KIND = Label()
