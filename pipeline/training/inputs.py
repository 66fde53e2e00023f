"""Inputs of training: prepared data, statistics and precomputed copies, each taken from the cache or computed."""

from __future__ import annotations

from pathlib import Path

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import copies_key, data_digest, prepared_key, statistics_key, whitened_tile
from pipeline.runs.cache import find_or_make

PICTURE = "statistics.png"


def prepare(declaration: Declaration, *, root: Path) -> Path:
    """Return the prepared data of a declaration, preparing it if necessary.

    Raises:
        ConfigError: the archive is missing, does not match its pinned digest, or contains an invalid image.
    """
    from pipeline.data.prepared import write_prepared  # imports decoders, which cached data do not need

    digest = data_digest(declaration, root=root)
    return find_or_make(
        root,
        "prepare",
        prepared_key(declaration, root=root),
        lambda folder: write_prepared(declaration.data, folder, data_digest=digest),
    )


def statistics(declaration: Declaration, *, root: Path) -> Path:
    """Return the folder with the statistics of a declaration and their figure, computing them if necessary."""
    tile = whitened_tile(declaration)

    def make(folder: Path) -> None:
        from pipeline.data.prepared import Prepared
        from pipeline.pictures.statistics import draw_statistics
        from pipeline.training.measurement import measure_training_images

        prepared = Prepared.open(prepare(declaration, root=root), declaration.data)
        measured = measure_training_images(prepared, tile)
        measured.save(folder)
        white = measured.whitening
        draw_statistics(
            measured.mean_image,
            folder / PICTURE,
            colours=measured.colour_axes() if declaration.data.shape[0] > 1 else None,
            tiles=None if white is None else (white.variances, white.axes),
            tile=tile,
        )

    return find_or_make(root, "statistics", statistics_key(declaration, root=root), make)


def augment(declaration: Declaration, *, root: Path) -> Path | None:
    """Return the folder of precomputed copies, drawing them if necessary; None if augmentation is on the fly.

    Raises:
        ConfigError: the disk is too small, or a step cannot process the images.
    """
    if declaration.augmentation.copies is None:
        return None

    def make(folder: Path) -> None:
        from pipeline.data.prepared import Prepared
        from pipeline.training.copies import write_copies
        from pipeline.transforms.statistics import Statistics

        prepared = Prepared.open(prepare(declaration, root=root), declaration.data)
        write_copies(declaration, prepared, Statistics.load(statistics(declaration, root=root)), folder)

    return find_or_make(root, "augment", copies_key(declaration, root=root), make)
