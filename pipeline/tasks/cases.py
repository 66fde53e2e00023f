"""The interface of a task's module `cases`: a row of `cases.csv` for each test image, and figures of selected ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.demands import task_package
from pipeline.tasks.task import Evidence

Explain = Callable[[Sequence[int], Sequence[int]], NDArray[Any]]


@dataclass(frozen=True)
class Evaluated:
    """Test images with the predictions of a model.

    Args:
        evidence: (N, ...), as returned by the task.
        decoded: (N, ...), predictions decoded by the task.
        images: (N, H, W, C) uint8; where they are seen whole, an array of arrays, as are predictions and targets.
        targets: (N, ...).
        files: names of the N images in the archive.
        sides: rows and columns of the images' files (N, 2), for the way back to their own pixels; None for kinds of
            targets that have no places.
        groups: of each image, such as the name of its identity; None for none.
        explain: maps indices of images, and the index of a class for each of them, to their activation maps (n, H, W)
            from 0 to 1; None if the network has none.
    """

    evidence: Evidence
    decoded: NDArray[Any]
    images: NDArray[np.uint8]
    targets: NDArray[Any]
    files: Sequence[str]
    sides: NDArray[Any] | None = None
    groups: Sequence[str] | None = None
    explain: Explain | None = None


class Cases(Protocol):
    """The interface of a module `cases`."""

    COLUMNS: Sequence[str]

    def rows(self, task: Any, evaluated: Evaluated) -> Iterable[Sequence[str]]:
        """Yield a row of `COLUMNS` for each image."""
        ...

    def draw(self, task: Any, evaluated: Evaluated, folder: Path) -> None:
        """Draw the most informative images."""
        ...


def load_cases(target: str) -> Cases:
    """Return the module `cases` of a task by its `_target_`."""
    return cast(Cases, importlib.import_module(f"{task_package(target)}.cases"))
