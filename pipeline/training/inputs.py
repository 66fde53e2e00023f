"""What a training needs: prepared data, statistics, and draws made ahead; each found by its key or made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data.facts import Facts
from pipeline.declaration.keys import copies_key, data_digest, prepared_key, statistics_key, whitened_tile
from pipeline.runs.found import find_or_make

PICTURE = "statistics.png"


def prepare(config: Mapping[str, Any], *, root: Path) -> Path:
    """Return the prepared folder of a declaration's data, made if need be.

    Raises:
        ConfigError: the archive is missing or not the pinned one, or an image cannot be used.
    """
    from pipeline.data.prepared import write_prepared  # decoders; not needed to find what is there

    facts, found = Facts.of(config["data"]), data_digest(config, root=root)
    return find_or_make(
        root,
        "prepare",
        prepared_key(config, root=root),
        lambda folder: write_prepared(facts, folder, data_digest=found),
    )


def statistics(config: Mapping[str, Any], *, root: Path) -> Path:
    """Return the folder with the statistics of a declaration and their picture, made if need be."""

    def make(folder: Path) -> None:
        from pipeline.data.prepared import Prepared
        from pipeline.pictures.statistics import draw_statistics
        from pipeline.transforms.statistics import measure, pieces_of

        images = Prepared(prepare(config, root=root)).images("train")
        found = measure(pieces_of(images), patch=whitened_tile(config))
        found.save(folder)
        white = found.whitening
        draw_statistics(
            found.mean_image,
            folder / PICTURE,
            colours=found.colour_axes() if images.shape[-1] > 1 else None,
            tiles=None if white is None else (white.variances, white.axes),
            tile=whitened_tile(config),
        )

    return find_or_make(root, "statistics", statistics_key(config, root=root), make)


def augment(config: Mapping[str, Any], *, root: Path) -> Path | None:
    """Return the folder of a declaration's copies, made if need be; None where it draws on the fly.

    Raises:
        ConfigError: the disk is too small, or a step refuses the images.
    """
    copies = config["augmentation"]["copies"]
    if copies is None:
        return None

    def make(folder: Path) -> None:
        from pipeline.data.draws import OnTheFly, write_draws
        from pipeline.data.prepared import Prepared
        from pipeline.training.assemble import augmentation_of
        from pipeline.transforms.statistics import Statistics

        prepared = Prepared(prepare(config, root=root))
        augmentation = augmentation_of(config, Statistics.load(statistics(config, root=root)))
        assert augmentation is not None, "copies without steps are refused"
        draws = OnTheFly(augmentation, seed=config["seed"])
        write_draws(draws, prepared.images("train"), prepared.targets("train"), folder, copies=copies)

    return find_or_make(root, "augment", copies_key(config, root=root), make)
