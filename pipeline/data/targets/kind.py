"""The interface of a kind of target, used by sources, preparation, augmentation, batches and figures.

Every other module of this package implements one kind: an instance of a `TargetKind` subclass, exported as `KIND`.
Shapes: N images, H rows, W columns.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.data.archive import Archive
from pipeline.data.arrays import start_array
from pipeline.data.facts import Facts
from pipeline.data.remarks import Remarks
from pipeline.data.sources import Sample
from pipeline.errors import ConfigError
from pipeline.pictures.places import Marks

Array = NDArray[Any]  # of uint8, but for labels of many classes, and for places
Sides = tuple[int, int]  # rows and columns
PIECE = 64  # targets that are counted at once


class Moving(Protocol):
    """What a kind does before and after its targets are moved with their images."""

    def start(self, targets: Array, sides: Sides) -> Array:
        """Return what to move, given rows and columns of the images."""
        ...

    def end(self, moved: Array, sides: Sides) -> Array:
        """Return the targets of images of some rows and columns, given what was moved."""
        ...


class Making(Protocol):
    """What a kind makes of images where targets are not stored."""

    def make(self, images: Array, seeds: Sequence[int] | None) -> tuple[Array, Array]:
        """Return what the network sees of images (N, H, W, C), and their targets (N, ...).

        Args:
            seeds: of what is drawn for each image; None where it is always the same for an image.
        """
        ...


class TargetKind(ABC):
    """Base class of target kinds; by default, targets are arrays of a fixed shape and of uint8.

    Args:
        name: name of the module that defines the kind.
        moves_as: the albumentations target type, such as `mask`, under which the target is transformed together with
            its image; None if augmentation leaves it unchanged.
        keeps_sides: whether rows and columns of the images' files are kept, for the way back to their own pixels.
    """

    name: str
    moves_as: str | None = None
    keeps_sides: bool = False

    def fitted(self, samples: Sequence[Sample]) -> TargetKind:
        """Return the kind for a data set, such as one with room for the most boxes of an image."""
        del samples
        return self

    @abstractmethod
    def shape(self, facts: Facts) -> tuple[int, ...]:
        """Return the shape of one target."""

    def dtype(self, facts: Facts) -> np.dtype[Any]:
        """Return the type of the numbers of targets."""
        del facts
        return np.dtype(np.uint8)

    @abstractmethod
    def read(self, sample: Sample, archive: Archive, facts: Facts, *, image: bytes) -> Array:
        """Return the target of a sample.

        Args:
            image: the contents of the image file.

        Raises:
            ConfigError: the target does not match its image or the facts; the message names the file.
        """

    def reader(self, archive: Archive, facts: Facts, remarks: Remarks) -> Callable[[Sample, bytes], Array]:
        """Return a function that reads the targets of one data set from samples and the contents of their images.

        It may compare targets with each other, and is called from several threads.

        Args:
            remarks: takes what is unusual about targets.
        """
        del remarks
        return lambda sample, image: self.read(sample, archive, facts, image=image)

    def moving(self, facts: Facts) -> Moving | None:
        """Return what to do around augmentation; None if there is nothing to do."""
        del facts
        return None

    def making(self, facts: Facts) -> Making | None:
        """Return what makes targets of images, after augmentation; None if they are stored."""
        del facts
        return None

    def cell(self, sample: Sample) -> object:
        """Return the target of a sample as a cell of the manifest; several classes are divided by spaces."""
        target = sample.target
        return " ".join(map(str, target)) if isinstance(target, tuple) else target

    def stratum(self, sample: Sample) -> int | None:
        """Return the class to stratify folds by; None if samples do not have a single class."""
        del sample
        return None

    def named(self, sample: Sample) -> tuple[int, ...] | None:
        """Return the classes that a sample has; None if only its file tells them."""
        stratum = self.stratum(sample)
        return None if stratum is None else (stratum,)

    def labels(self, targets: Array) -> Array | None:
        """Return the class of each image (N,); None if images do not have a single class."""
        del targets
        return None

    def count(self, targets: Array, num_classes: int) -> list[int]:
        """Return how often each class occurs in some targets (N, ...), whatever is not counted left out.

        Values beyond the classes, which stand for what is ignored, are not counted.
        """
        counts = np.zeros(max(num_classes, 256), np.int64)
        for start in range(0, len(targets), PIECE):
            counts += np.bincount(targets[start : start + PIECE].ravel(), minlength=len(counts))
        return [int(count) for count in counts[:num_classes]]

    def check(self, samples: Sequence[Sample], facts: Facts) -> None:
        """Check that a data set can be trained on, before any image is read.

        Raises:
            ConfigError: it cannot, for example because a class has no training image.
        """
        del samples, facts

    @contextmanager
    def writing(
        self, folder: Path, split: str, count: int, facts: Facts
    ) -> Iterator[Callable[[Array, Sides], object]]:
        """Open the targets of a split for writing; yields a function that appends the target of an image.

        It also takes rows and columns of the image's file.
        """
        with ExitStack() as stack:
            targets = stack.enter_context((folder / f"{split}_targets.npy").open("wb"))
            start_array(targets, (count, *self.shape(facts)), self.dtype(facts))
            if not self.keeps_sides:
                yield lambda target, sides: targets.write(target.data)  # noqa: ARG005
                return
            kept = stack.enter_context((folder / f"{split}_sides.npy").open("wb"))
            start_array(kept, (count, 2), np.int32)
            yield lambda target, sides: (
                targets.write(target.data),
                kept.write(np.array(sides, np.int32).data),
            )

    def load(self, folder: Path, split: str) -> Array:
        """Return the targets of a prepared split, memory-mapped: (N, ...)."""
        array: Array = np.load(folder / f"{split}_targets.npy", mmap_mode="r")
        return array

    def load_sides(self, folder: Path, split: str) -> Array | None:
        """Return rows and columns of the images' files (N, 2), memory-mapped; None if they are not kept."""
        return np.load(folder / f"{split}_sides.npy", mmap_mode="r") if self.keeps_sides else None

    def present(self, target: Any) -> NDArray[np.intp]:
        """Return the classes that a target has, each once; values that are no class may be among them."""
        return np.flatnonzero(np.bincount(np.asarray(target).ravel()))

    def check_present(self, num_images: Mapping[str, Sequence[int]], facts: Facts) -> None:
        """Check that a data set can be trained on, after all targets have been read.

        Args:
            num_images: split -> for each class, the number of images that have it.

        Raises:
            ConfigError: it cannot, for example because no training mask has a pixel of a class.
        """
        del num_images, facts

    def caption(self, target: Any, classes: Sequence[str]) -> str:
        """Return the caption of an image with this target; empty if the target is drawn instead (see `mask`)."""
        del target, classes
        return ""

    def mask(self, target: Any) -> Array | None:
        """Return the mask (H, W) to overlay on an image with this target; None if it is shown as a caption."""
        del target
        return None

    def picture(self, target: Any) -> Array | None:
        """Return the image (H, W, C) to show beside the one that has this target; None if there is none."""
        del target
        return None

    def marks(self, target: Any, facts: Facts) -> Marks | None:
        """Return what to draw over an image with this target; None for kinds that have no places."""
        del target, facts
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
