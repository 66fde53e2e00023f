"""Inputs of training: prepared data, statistics and precomputed copies, each taken from the cache or computed.

Small files of the cache are checked for damage whenever they are used, large ones once per run: in the background while
the first epoch is trained, or beforehand if what is computed from them is cached or published itself.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.degrade_facts import degraded_shape
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import copies_key, data_digest, prepared_key, statistics_key, whitened_tile
from pipeline.errors import warn
from pipeline.runs.cache import find_or_make
from pipeline.storage.sealed import check_files

if TYPE_CHECKING:
    from pipeline.data.prepared import Prepared
    from pipeline.transforms.statistics import Statistics

PICTURE = "statistics.png"


@dataclass(frozen=True)
class Inputs:
    """The inputs of a training.

    Args:
        prepared: the prepared data.
        statistics: of the training images.
        copies: folder of precomputed augmented images; None to augment on the fly.
        check: of the files of prepared data and copies, in the background; done when nothing is damaged.
    """

    prepared: Prepared
    statistics: Statistics
    copies: Path | None
    check: Future[None]

    def verify(self) -> None:
        """Wait until the files have been read and found to be undamaged.

        Raises:
            DamagedFileError: a file does not have the content that was written.
        """
        self.check.result()


def load_inputs(declaration: Declaration, *, root: Path, is_thorough: bool) -> Inputs:
    """Return the inputs of training a declaration, computing those that are missing or damaged.

    Args:
        is_thorough: whether to check all files now; otherwise large ones are checked in the background.

    Raises:
        ConfigError: the inputs cannot be computed from the data.
    """
    from pipeline.data.prepared import Prepared
    from pipeline.transforms.statistics import Statistics

    prepared = prepare(declaration, root=root, is_thorough=is_thorough)
    measured = statistics(declaration, root=root)
    copies = augment(declaration, root=root, is_thorough=is_thorough)
    folders = [prepared] if copies is None else [prepared, copies]
    pool = ThreadPoolExecutor(max_workers=1)
    check = pool.submit(_check, folders)
    pool.shutdown(wait=False)
    opened = Prepared.open(prepared, declaration.data)
    _warn_of_enlarged_crops(declaration, opened)
    return Inputs(opened, Statistics.load(measured), copies, check)


def _warn_of_enlarged_crops(declaration: Declaration, prepared: Prepared) -> None:
    """Warn if the network sees crops, and no training image has as many pixels as they are cut from."""
    shape, seen, about = degraded_shape(declaration.data), declaration.input_shape, prepared.about()
    if shape != seen and about["enlarged"] == about["counts"]["train"]:
        text = (
            f"input_shape: all {about['enlarged']:,} training images, such as {prepared.files('train')[0]}, are "
            f"smaller than data.shape={list(shape)}, so that crops of {list(seen)} are enlarged pixels; "
            "choose smaller shapes"
        )
        warn(text)


def _check(folders: list[Path]) -> None:
    for folder in folders:
        check_files(folder)


def prepare(declaration: Declaration, *, root: Path, is_thorough: bool = False) -> Path:
    """Return the prepared data of a declaration, preparing it if necessary.

    Args:
        is_thorough: whether to check large files for damage, too.

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
        is_thorough=is_thorough,
    )


def statistics(declaration: Declaration, *, root: Path) -> Path:
    """Return the folder with the statistics of a declaration and their figure, computing them if necessary."""
    tile = whitened_tile(declaration)

    def make(folder: Path) -> None:
        from pipeline.data.prepared import Prepared
        from pipeline.pictures.statistics import draw_statistics
        from pipeline.training.measurement import measure_training_images

        prepared = Prepared.open(prepare(declaration, root=root, is_thorough=True), declaration.data)
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

    return find_or_make(root, "statistics", statistics_key(declaration, root=root), make, is_thorough=True)


def augment(declaration: Declaration, *, root: Path, is_thorough: bool = False) -> Path | None:
    """Return the folder of precomputed copies, drawing them if necessary; None if augmentation is on the fly.

    Args:
        is_thorough: whether to check large files for damage, too.

    Raises:
        ConfigError: the disk is too small, or a step cannot process the images.
    """
    if declaration.augmentation.copies is None:
        return None

    def make(folder: Path) -> None:
        from pipeline.data.prepared import Prepared
        from pipeline.training.copies import write_copies
        from pipeline.transforms.statistics import Statistics

        prepared = Prepared.open(prepare(declaration, root=root, is_thorough=True), declaration.data)
        write_copies(declaration, prepared, Statistics.load(statistics(declaration, root=root)), folder)

    return find_or_make(root, "augment", copies_key(declaration, root=root), make, is_thorough=is_thorough)
