"""Copies: augmented training images drawn in advance, as `augmentation.copies` asks for."""

from __future__ import annotations

from pathlib import Path

from pipeline.data.draws import OnTheFly, write_draws
from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.training.construction import build_augmentation
from pipeline.transforms.statistics import Statistics


def write_copies(declaration: Declaration, prepared: Prepared, statistics: Statistics, folder: Path) -> None:
    """Write what the first epochs would draw on the fly.

    Raises:
        ConfigError: the disk is too small, or a step refuses the images.
    """
    copies, augmentation = declaration.augmentation.copies, build_augmentation(declaration, statistics)
    assert copies is not None
    assert augmentation is not None, "copies without steps are refused"
    draws = OnTheFly(
        augmentation,
        prepared.kind.moves_as,
        seed=declaration.seed,
        moving=prepared.kind.moving(declaration.data),
    )
    write_draws(draws, prepared.images("train"), prepared.targets("train"), folder, copies=copies)
