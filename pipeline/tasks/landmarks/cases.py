"""Test cases of landmarks: a row per image, its best and its worst ones with their points, and the errors of all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from pipeline.pictures.colours import colour_of
from pipeline.pictures.errors import draw_errors
from pipeline.pictures.places import Marks
from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.landmarks.demands import FAILURE
from pipeline.tasks.landmarks.task import Landmarks

COLUMNS = ("file", "nme", "worst_point", "worst_error", "actual", "predicted")
MOST_CASES = 16


def rows(task: Landmarks, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image; points in pixels of its file, as `name x y`, divided by semicolons."""
    assert evaluated.sides is not None
    errors = task.image_scores(evaluated.evidence)
    cases = zip(
        evaluated.files,
        errors,
        evaluated.evidence,
        evaluated.targets,
        evaluated.decoded,
        evaluated.sides,
        strict=True,
    )
    for file, error, distances, target, decoded, sides in cases:
        worst, is_known = int(distances.argmax()), not np.isnan(error)
        true, found = (task.to_file(each[:, :2], sides) for each in (target, decoded))
        yield (
            file,
            f"{error:.6f}" if is_known else "",
            task.points[worst] if is_known else "",
            f"{distances[worst]:.6f}" if is_known else "",
            _cell(task, true, target[:, 2] > 0),
            _cell(task, found, np.ones(len(found), bool)),
        )


def draw(task: Landmarks, evaluated: Evaluated, folder: Path) -> None:
    """Draw the images with the least and the largest errors, and how many images have which error."""
    errors = task.image_scores(evaluated.evidence)
    known = np.flatnonzero(~np.isnan(errors))
    order = known[np.argsort(errors[known], kind="stable")]
    if len(order):
        draw_errors(errors[order], folder / "errors.png", title="NME of images", limit=FAILURE)
    for name, chosen in (("best", order[:MOST_CASES]), ("worst", order[::-1][:MOST_CASES])):
        if len(chosen):
            draw_sheet(
                [evaluated.images[index] for index in chosen],
                folder / f"{name}.png",
                captions=[f"{errors[i]:.3f}\n{PurePath(evaluated.files[i]).name}" for i in chosen],
                marks=[_marks(evaluated, int(index)) for index in chosen],
            )


def _marks(evaluated: Evaluated, index: int) -> Marks:
    """Return the true points as rings and the predicted ones as dots."""
    target, found = evaluated.targets[index], evaluated.decoded[index]
    seen = np.flatnonzero(target[:, 2] > 0).tolist()
    every = list(range(len(found)))
    return Marks(
        points=np.concatenate([target[seen, :2], found[:, :2]]),
        colours=[colour_of(each) for each in (*seen, *every)],
        names=[""] * (len(seen) + len(every)),
        is_dashed=[True] * len(seen) + [False] * len(every),
    )


def _cell(task: Landmarks, points: np.ndarray, is_seen: np.ndarray) -> str:
    return "; ".join(
        f"{name} {x:.2f} {y:.2f}"
        for name, (x, y), seen in zip(task.points, points, is_seen, strict=True)
        if seen
    )
