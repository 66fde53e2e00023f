"""How the predictions of a task are presented to a user: cells of a table, arrays in files, and an overlay.

A task may have a module `predictions` with a function `present`; without one, its numbers are presented as they are. A
function `enrol` in it presents them by the predictions for a gallery of images whose identity is known.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.facts import Facts
from pipeline.pictures.places import Marks
from pipeline.tasks.demands import task_package

FILE, ERROR = "file", "error"  # the first and the last column
TAKEN = (FILE, "class", "mask", ERROR)  # columns that no class gives its name to


@dataclass(frozen=True)
class Predicted:
    """The prediction for one image.

    Args:
        decoded: (...), as the task decodes it.
        sides: rows and columns of the image on disk.
    """

    decoded: NDArray[Any]
    sides: tuple[int, int]


@dataclass(frozen=True)
class Presented:
    """A prediction as a user gets it. Of one task, all have the same columns.

    Args:
        cells: column -> text.
        following: the cells of more rows of the image, with the same columns.
        arrays: column -> array that is written to a file, whose name is put into the cell: (H, W) of 8 or 16 bits and
            (H, W, 3) of 8 bits as PNG, others as NPY.
        shares: class -> part of this image that it has, for the means that are printed at the end; empty for none.
        mask: class indices (H, W) to paint over the image on disk, 0 is transparent; None to write the caption instead.
        caption: short text about the image.
        marks: boxes or points to draw over the image on disk, in its pixels; None for none.
    """

    cells: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    mask: NDArray[np.uint8] | None = None
    caption: str = ""
    following: Sequence[Mapping[str, str]] = ()
    marks: Marks | None = None


@dataclass(frozen=True)
class Enrolled:
    """An image of a gallery.

    Args:
        file: its name below the folder of the gallery, or in the zip file.
        identity: the name of the first folder that it is in.
    """

    file: str
    identity: str


Present = Callable[[Predicted, Facts], Presented]
Enrol = Callable[
    [Any, NDArray[Any], Sequence[Enrolled]], Present
]  # of a task, and the predictions for a gallery


def load_present(target: str) -> Present:
    """Return the function that presents the predictions of a task, by the task's `_target_`."""
    name = f"{task_package(target)}.predictions"
    if importlib.util.find_spec(name) is None:
        return present_numbers
    present: Present = importlib.import_module(name).present
    return present


def load_enrol(target: str) -> Enrol | None:
    """Return the function that presents predictions by a gallery, by the task's `_target_`; None if it has none."""
    name = f"{task_package(target)}.predictions"
    found: Enrol | None = None
    if importlib.util.find_spec(name) is not None:
        found = getattr(importlib.import_module(name), "enrol", None)
    return found


def present_numbers(predicted: Predicted, facts: Facts) -> Presented:
    """Present a number or a list of numbers as cells, and what has more axes as a file."""
    del facts
    values = predicted.decoded
    if values.ndim > 1:
        return Presented({}, arrays={"prediction": values})
    if values.ndim == 0:
        text = f"{values:.8g}"
        return Presented({"prediction": text}, caption=text)
    return Presented({f"prediction_{index}": f"{value:.8g}" for index, value in enumerate(values)})


def class_columns(classes: Sequence[str]) -> list[str]:
    """Return the column of each class: its name, unless another column has it."""
    return [f"class {name}" if name in TAKEN else name for name in classes]
