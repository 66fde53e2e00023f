"""What a task's module `cases` exports: a row of `cases.csv` for each test image, and pictures of some."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.demands import task_package
from pipeline.tasks.task import Evidence


@dataclass(frozen=True)
class Evaluated:
    """Test images with what a model made of them.

    Args:
        evidence: (N, ...), as the task makes it.
        decoded: (N, ...), as the task decodes outputs.
        images: (N, H, W, C) uint8.
        targets: (N, ...).
        files: the N names of the images in the archive.
    """

    evidence: Evidence
    decoded: NDArray[Any]
    images: NDArray[np.uint8]
    targets: NDArray[Any]
    files: Sequence[str]


class Cases(Protocol):
    """What a module `cases` exports."""

    COLUMNS: Sequence[str]

    def rows(self, task: Any, evaluated: Evaluated) -> Iterable[Sequence[str]]:
        """Yield a row of `COLUMNS` for each image."""
        ...

    def draw(self, task: Any, evaluated: Evaluated, folder: Path) -> None:
        """Draw the images that a person should look at."""
        ...


def load_cases(target: str) -> Cases:
    """Return the module `cases` of a task by its `_target_`."""
    return cast(Cases, importlib.import_module(f"{task_package(target)}.cases"))
