"""Sheets of training images: as the network sees them, and before and after augmentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.batches import Batch, PreparedSplit
from pipeline.data.draws import OnTheFly, derive_seed
from pipeline.data.targets.kind import TargetKind
from pipeline.declaration.declaration import Declaration
from pipeline.pictures.places import Marks
from pipeline.pictures.sheets import draw_sheet
from pipeline.training.assemble import ResolvedTask
from pipeline.transforms.augmentation import Augmentation

Array = NDArray[np.uint8]

SHEET_IMAGES = 16
IMAGES = 4  # original images on the sheet of augmented ones
DRAWS = 7  # augmented versions of each image
MIXES = 4  # batches that are drawn if they are mixed


class _Cell(NamedTuple):
    image: Array
    mask: Array | None
    marks: Marks | None
    caption: str


def draw_previews(
    declaration: Declaration,
    split: PreparedSplit,
    augmentation: Augmentation | None,
    task: ResolvedTask,
    folder: Path,
) -> list[Path]:
    """Draw training images as the network sees them, what the task makes of them, and the effect of augmentation.

    The images are those of the first epoch.
    Augmentation is shown with all steps together, and also step by step if there are several.

    Args:
        split: the training split, as used in training.
        task: what the training split decided.

    Returns:
        The paths of the files written.
    """
    written = [folder / "training_images.png"]
    _draw_batch(declaration, split, written[0])
    written += task.draw(folder)
    if augmentation is not None:
        written.append(folder / "augmentation.png")
        _draw_draws(declaration, split, augmentation, written[-1])
    if augmentation is not None and len(augmentation.steps) > 1:
        written.append(folder / "augmentation_steps.png")
        _draw_steps(declaration, split, augmentation, written[-1])
    return written


def _draw_batch(declaration: Declaration, split: PreparedSplit, path: Path) -> None:
    """Draw images of the first epoch; with mixing, from several batches, as each has only one weight."""
    epochs, count = (range(MIXES), SHEET_IMAGES // 2) if split.mix else (range(1), SHEET_IMAGES)
    cells: list[_Cell] = []
    for epoch in epochs:
        batch = split[epoch, _spread(split, count)]
        images, targets = batch["image"].permute(0, 2, 3, 1).numpy(), batch["target"].numpy()
        masks = [split.kind.mask(target) for target in targets]
        marks = [split.kind.marks(target, declaration.data) for target in targets]
        cells += map(_Cell, images, masks, marks, _captions(batch, split.kind, declaration.data.classes))
    _draw(declaration, cells, path)


def _captions(batch: Batch, kind: TargetKind, classes: Sequence[str]) -> list[str]:
    """Return a caption for each image of a batch; that of a mixed image names both targets with their weights."""
    names = [kind.caption(target, classes) for target in batch["target"]]
    if "partner" not in batch or not any(names):
        return names
    weight = float(batch["weight"])
    partners = [kind.caption(target, classes) for target in batch["partner"]]
    return [f"{weight:.2f} {a} + {1 - weight:.2f} {b}" for a, b in zip(names, partners, strict=True)]


def _draw_draws(
    declaration: Declaration, split: PreparedSplit, augmentation: Augmentation, path: Path
) -> None:
    """Draw a row per image: the original, and its augmented versions with the steps that changed it."""
    cells: list[_Cell] = []
    for index in _spread(split, IMAGES):
        cells += [
            _original(declaration, split, index, "original"),
            *_draws(declaration, split, augmentation, index),
        ]
    _draw(declaration, cells, path)


def _draw_steps(
    declaration: Declaration, split: PreparedSplit, augmentation: Augmentation, path: Path
) -> None:
    """Draw a row per step: an original image, and versions augmented by that step alone."""
    cells: list[_Cell] = []
    places = _spread(split, IMAGES)
    for number, step in enumerate(augmentation.steps):
        index = places[number % len(places)]
        cells.append(
            _original(declaration, split, index, f"{number + 1}. {type(step).__name__}, p {step.p:g}")
        )
        cells += _draws(declaration, split, Augmentation([step]), index)
    _draw(declaration, cells, path)


def _original(declaration: Declaration, split: PreparedSplit, index: int, caption: str) -> _Cell:
    return _cell(declaration, split, split.images[index], split.targets[index], caption)


def _draws(
    declaration: Declaration, split: PreparedSplit, augmentation: Augmentation, index: int
) -> Iterable[_Cell]:
    kind = split.kind
    draws = OnTheFly(augmentation, kind.moves_as, declaration.seed, kind.moving(declaration.data))
    for epoch in range(DRAWS):
        images, targets = draws.batch(split.images, split.targets, epoch, [index])
        seed = derive_seed(declaration.seed, epoch, index)
        _, names = augmentation.draw_with_trace(split.images[index], seed=seed)
        yield _cell(declaration, split, images[0], targets[0], ", ".join(names) or "as it was")


def _cell(declaration: Declaration, split: PreparedSplit, image: Array, target: Any, caption: str) -> _Cell:
    return _Cell(image, split.kind.mask(target), split.kind.marks(target, declaration.data), caption)


def _draw(declaration: Declaration, cells: list[_Cell], path: Path) -> None:
    masks = [cell.mask for cell in cells if cell.mask is not None]
    draw_sheet(
        [cell.image for cell in cells],
        path,
        masks=masks or None,
        marks=[cell.marks for cell in cells if cell.marks is not None] or None,
        captions=[cell.caption for cell in cells] if any(cell.caption for cell in cells) else None,
        classes=declaration.data.classes if masks else None,
    )


def _spread(split: PreparedSplit, count: int) -> list[int]:
    """Return evenly spaced indices of a split."""
    count = min(count, len(split))
    return [(2 * place + 1) * len(split) // (2 * count) for place in range(count)]
