"""Prediction of images that are not part of a data set, in constant memory.

Images are decoded and results are written by threads, while the model computes.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.degrade_facts import degraded_shape
from pipeline.data.images import find_resizing
from pipeline.data.resizing import Placement
from pipeline.data.threads import num_threads
from pipeline.data.unlabelled import UnlabelledImage, UnlabelledImages, Unreadable, open_unlabelled
from pipeline.declaration.network import sees_whole
from pipeline.storage.names import escape_cells
from pipeline.tasks.predictions import ERROR, FILE, Predicted, Present, Presented
from pipeline.training.arithmetic import declared_arithmetic
from pipeline.training.ensemble import Array, Ensemble
from pipeline.training.gallery import find_present
from pipeline.training.trained import Trained

BATCH = 64  # images per forward pass; does not affect predictions
TABLE = "predictions.csv"
OVERLAYS = "overlays"

Item = UnlabelledImage | Unreadable


@dataclass
class Summary:
    """What was predicted.

    Args:
        num_predicted: number of images with a prediction.
        num_unreadable: number of images that could not be decoded.
        num_others: number of files that are no images.
        seconds: duration of decoding, prediction and writing.
        shares: class -> mean share of an image; empty for tasks without classes.
    """

    num_predicted: int = 0
    num_unreadable: int = 0
    num_others: int = 0
    seconds: float = 0.0
    shares: Counter[str] = field(default_factory=Counter)


def predict(
    runs: Sequence[Trained],
    source: Path,
    out: Path,
    *,
    overlays: bool,
    explains: bool = False,
    gallery: Path | None = None,
    progress: Callable[[Iterable[Any], int], Iterable[Any]] = lambda rows, _: rows,
) -> Summary:
    """Predict the images of a folder, a zip file or a single file; write a table, masks and overlays.

    Args:
        runs: one, or several whose outputs are averaged.
        out: an empty folder.
        overlays: whether to write each image with its mask or caption.
        explains: whether overlays show the activation map of the predicted class.
        gallery: a folder or zip file of images whose identity is known, by which the others are recognised.
        progress: wraps the rows of all images, of which there are as many as its second argument says.

    Raises:
        ConfigError: there is no image, the runs do not fit each other, or there are no activation maps to show.
    """
    declaration = runs[0].declaration
    is_whole, shape = sees_whole(declaration), list(degraded_shape(declaration.data))
    facts = replace(declaration.data, shape=shape, degrade=None)  # of what the network sees
    with (
        open_unlabelled(source, facts, is_whole=is_whole) as images,
        declared_arithmetic(declaration.trainer),
    ):
        ensemble = Ensemble(runs)
        if explains:
            ensemble.check_maps(len(declaration.data.classes))
        present = find_present(runs[0], ensemble, gallery, facts)
        writer = _Writer(runs[0], images, present, ensemble.example, out, overlays=overlays or explains)
        summary, start = Summary(num_others=images.num_others), time.monotonic()
        with (
            (out / TABLE).open("w", newline="", encoding="utf-8") as file,
            closing(_rows(ensemble, images, writer, explains=explains, is_whole=is_whole)) as rows,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(escape_cells(writer.header))
            for lines, presented in progress(rows, len(images.files)):
                table.writerows(map(escape_cells, lines))
                summary.num_predicted += presented is not None
                summary.num_unreadable += presented is None
                summary.shares.update({} if presented is None else presented.shares)
        summary.seconds = time.monotonic() - start
    summary.shares = Counter({name: share / summary.num_predicted for name, share in summary.shares.items()})
    return summary


Rows = tuple[list[list[str]], Presented | None]  # of an image, and how it is presented


def _rows(
    ensemble: Ensemble, images: UnlabelledImages, writer: _Writer, *, explains: bool, is_whole: bool
) -> Generator[Rows]:
    """Yield the rows of each image; those of a batch are written while the model computes the next one.

    Args:
        is_whole: whether images may differ in their sides, so that each has a forward pass of its own.
    """
    batch = 1 if is_whole else BATCH
    pending: list[Future[Rows]] = []
    with ThreadPoolExecutor(num_threads()) as pool, closing(images.decoded(ahead=batch)) as found:
        while items := list(islice(found, batch)):
            pixels = [each.pixels for each in items if isinstance(each, UnlabelledImage)]
            decoded = ensemble.predict(pixels)
            maps = ensemble.explain(pixels, decoded) if explains else [None] * len(pixels)
            predictions = iter(zip(decoded, maps, strict=True))
            jobs = [
                partial(writer.write, each, *next(predictions))
                if isinstance(each, UnlabelledImage)
                else partial(writer.write_unreadable, each)
                for each in items
            ]
            if not writer.has_files:  # cells alone take less time than to hand them to a thread
                yield from (job() for job in jobs)
                continue
            following = [pool.submit(job) for job in jobs]
            yield from (each.result() for each in pending)
            pending = following
        yield from (each.result() for each in pending)


class _Writer:
    """Writes the files of predictions; safe to use from several threads.

    Args:
        present: turns a prediction into cells, files and an overlay.
        example: a prediction, from which the columns are known.
        overlays: whether to write overlays, with activation maps or without.

    Attributes:
        has_files: whether an image has files, and not only a row.
    """

    def __init__(
        self,
        run: Trained,
        images: UnlabelledImages,
        present: Present,
        example: Array,
        out: Path,
        *,
        overlays: bool,
    ) -> None:
        self._facts = run.declaration.data
        self._present = present
        self._images = images
        self._out = out
        self._overlays = overlays
        shown = self._present(
            Predicted(example, example.shape[-2:] if example.ndim > 1 else (1, 1)), self._facts
        )
        self.has_files = overlays or bool(shown.arrays)
        self._stems = (
            dict(zip(images.files, _unique_stems(images.files), strict=True)) if self.has_files else {}
        )
        self.header = [FILE, *shown.arrays, *shown.cells, ERROR]

    def write_unreadable(self, item: Unreadable) -> Rows:
        """Return the row of an image that cannot be decoded."""
        return [[item.file, *[""] * (len(self.header) - 2), item.reason]], None

    def write(self, item: UnlabelledImage, decoded: Array, heat: Array | None) -> Rows:
        """Write the files of one image; return its rows, and how it is presented.

        Args:
            heat: activation map of the prepared image for the overlay; None for a mask or a caption alone.
        """
        presented, names = self._present(Predicted(decoded, item.sides), self._facts), list[str]()
        if self.has_files:
            stem = self._stems[item.file]
            names = [self._save(f"{column}s/{stem}", array) for column, array in presented.arrays.items()]
        if self._overlays:
            self._save(f"{OVERLAYS}/{stem}", self._marked(item, presented, heat))
        cells = (presented.cells, *presented.following)
        return [[item.file, *names, *each.values(), ""] for each in cells], presented

    def _marked(self, item: UnlabelledImage, presented: Presented, heat: Array | None) -> NDArray[np.uint8]:
        from pipeline.pictures.heat import overlay_heat  # imports matplotlib
        from pipeline.pictures.marked import caption, paint
        from pipeline.pictures.places import draw_marks

        original = self._images.original(item)
        if heat is not None:
            placement = find_resizing(self._facts).place(item.sides)
            return caption(overlay_heat(original, _in_own_pixels(heat, placement)), presented.caption)
        if presented.marks is not None:
            return draw_marks(original, presented.marks)
        if presented.mask is None:
            return caption(original, presented.caption)
        return paint(original, presented.mask)

    def _save(self, stem: str, array: Array) -> str:
        """Write an array as PNG if it is an image, else as NPY; return the name of the file."""
        is_mask = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
        is_image = is_mask or (array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8)
        name = f"{stem}{'.png' if is_image else '.npy'}"
        path = self._out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_image:
            Image.fromarray(array).save(path)
        else:
            np.save(path, array)
        return name


def _in_own_pixels(heat: Array, placement: Placement) -> Array:
    """Return a map of a prepared image as one of the image itself, interpolated; 0 where that is cut off."""
    (x_scale, y_scale), (x, y) = placement.scale, placement.to_prepared(np.zeros(2))
    large = Image.fromarray(heat.astype(np.float32)).transform(
        placement.original[::-1],
        Image.Transform.AFFINE,
        (x_scale, 0, x, 0, y_scale, y),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(large)


def _unique_stems(files: Sequence[str]) -> list[str]:
    """Return the name of each file without its suffix, or with it where two would share their results."""
    folders = {str(parent).casefold() for file in files for parent in PurePosixPath(file).parents}
    taken: set[str] = set()
    found = []
    for file in files:
        path = PurePosixPath(file)
        candidates = (str(path.with_suffix("")), str(path), *(f"{path}.{number}" for number in range(2, 99)))
        stem = next(each for each in candidates if not _clashes(each.casefold(), taken, folders))
        taken.add(stem.casefold())
        found.append(stem)
    return found


def _clashes(stem: str, taken: set[str], folders: set[str]) -> bool:
    """Return whether a file of this stem exists, or a folder is called like the file."""
    return stem in taken or f"{stem}.png" in folders or f"{stem}.npy" in folders
