"""Identities: who or what is in an image, stored as a number (N,). Any two splits have other ones.

Unlike classes, identities are not named in the declaration, and those to be told apart later are not known in training.
The name of an identity is the group of its images, so that no split or fold divides it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.archive import Archive
from pipeline.data.facts import SPLITS, Facts
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import Array, TargetKind
from pipeline.errors import ConfigError


class Identity(TargetKind):
    """The number of an identity; a sample's target is that number, and its group the name."""

    name = "identity"

    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return (): an identity is a number."""
        del facts
        return ()

    def dtype(self, facts: Facts) -> np.dtype[Any]:
        """Return a type that holds any number of identities."""
        del facts
        return np.dtype(np.int32)

    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return the identity as an array of shape ()."""
        del archive, image
        return np.array(sample.target, dtype=self.dtype(facts))

    def labels(self, targets: Array) -> Array:
        """Return the identities, as they are."""
        return targets

    def present(self, target: Any) -> NDArray[np.intp]:
        """Return nothing: identities are no classes."""
        del target
        return np.empty(0, np.intp)

    def check(self, samples: Sequence[Sample], facts: Facts) -> None:
        """Check that no identity is in several splits.

        Raises:
            ConfigError: one is; the message names it.
        """
        splits: defaultdict[str, set[str]] = defaultdict(set)
        for sample in samples:
            splits[sample.group or str(sample.target)].add(sample.split)
        divided = sorted(name for name, found in splits.items() if len(found) > 1)
        if divided:
            found = [split for split in SPLITS if split in splits[divided[0]]]
            raise ConfigError(
                "data.split",
                f"identities of {facts.root} that are in several splits: {len(divided):,}, such as {divided[0]} "
                f"({' and '.join(found)})",
                got=facts.split,
                hint="put all images of an identity into one split, so that scores are of unseen ones",
            )

    def caption(self, target: Any, classes: Sequence[str]) -> str:
        """Return the number of the identity."""
        del classes
        return f"identity {int(target)}"


KIND = Identity()
