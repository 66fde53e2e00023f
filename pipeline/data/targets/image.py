"""Images: each is its own target, and the network sees it degraded, see `data.degrade`; nothing is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.archive import Archive
from pipeline.data.degrade_facts import NOISE, find_factor
from pipeline.data.degrading import Degrading
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.data.targets.kind import Array, Making, TargetKind


class Image(TargetKind):
    """The image itself, whatever target its source has; stored arrays are empty (N, 0)."""

    name = "image"

    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return (0,): there is nothing to store."""
        del facts
        return (0,)

    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return an empty array."""
        del sample, archive, facts, image
        return np.empty(0, np.uint8)

    def cell(self, sample: Sample) -> object:
        """Return an empty cell."""
        del sample
        return ""

    def load(self, folder: Path, split: str) -> Array:
        """Return empty targets (N, 0)."""
        array: Array = np.load(folder / f"{split}_targets.npy")  # nothing to map
        return array

    def making(self, facts: Facts) -> Making:
        """Return what degrades images."""
        return Degrading((facts.degrade or {}).get(NOISE, 0), find_factor(facts))

    def picture(self, target: Any) -> Array:
        """Return the image (H, W, C)."""
        return np.asarray(target).transpose(1, 2, 0)


KIND = Image()
