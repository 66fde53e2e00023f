"""What a kind of target is to sources, preparation, augmentation, batches and pictures.

Each other module of this package holds one kind: a class derived from `TargetKind`, exported as `KIND`.
Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.archive import Archive
from pipeline.data.arrays import start_array
from pipeline.data.facts import Facts
from pipeline.data.sources import Sample
from pipeline.errors import ConfigError

Array = NDArray[np.uint8]


class TargetKind(ABC):
    """A kind of target; here one whose targets are arrays of bytes of one shape.

    Args:
        name: of the module that holds it.
        moves_as: how albumentations is given it, so that it moves with its image, such as `mask`; None where it stays
            as it is whatever becomes of the image.
    """

    name: str
    moves_as: str | None = None

    @abstractmethod
    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return the shape of one target."""

    @abstractmethod
    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return the target of a sample.

        Args:
            image: the file of its image.

        Raises:
            ConfigError: it does not fit its image or the facts; the error names the file.
        """

    def stratum(self, sample: Sample) -> int | None:
        """Return the class of which each fold gets its share; None where samples have no single class."""
        del sample
        return None

    def check(self, samples: Sequence[Sample], facts: Facts) -> None:
        """Refuse the samples of a data set that cannot be learnt from, before any is read.

        Raises:
            ConfigError: why they cannot.
        """
        del samples, facts

    @contextmanager
    def writing(
        self, folder: Path, split: str, count: int, facts: Facts
    ) -> Iterator[Callable[[Array], object]]:
        """Start the targets of a split; what is yielded appends one."""
        with (folder / f"{split}_targets.npy").open("wb") as file:
            start_array(file, (count, *self.shape(facts)))
            yield lambda target: file.write(target.data)

    def load(self, folder: Path, split: str) -> Array:
        """Return the targets of a prepared split, memory-mapped: (N, ...)."""
        array: Array = np.load(folder / f"{split}_targets.npy", mmap_mode="r")
        return array

    def caption(self, target: Any, classes: Sequence[str]) -> str:
        """Return what is written above an image with this target; nothing where it is drawn."""
        del target, classes
        return ""

    def mask(self, target: Any) -> Array | None:
        """Return the mask (H, W) to draw over an image with this target; None where it is written."""
        del target
        return None


def load_kind(name: str) -> TargetKind:
    """Return a kind of target by name.

    Raises:
        ConfigError: there is no such kind.
    """
    kinds = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"__init__", "kind"}
    if name not in kinds:
        raise ConfigError.unknown("target", name, kinds, what="kind of target")
    kind: TargetKind = importlib.import_module(f"{__package__}.{name}").KIND
    return kind
