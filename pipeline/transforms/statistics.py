"""Statistics of training images, computed in a stream with constant memory.

Sums of 8-bit values, of their squares and of their products are integers that float64 represents exactly, so the
results do not depend on the size of the pieces.
Shapes: images are (N, H, W, C) uint8; tiles of p rows and q columns are vectors of D = C p q values in that order.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]
Wholes = NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)

PIECE = 2**22  # values in memory at a time
PART = (
    2**18
)  # values of a piece that are converted to float64 at a time, so that they fit into a core's cache
NUMBERS = "statistics.json"
MEAN_IMAGE = "mean_image.npy"


@dataclass(frozen=True)
class Whitening:
    """Principal axes of tiles of the training images, on the scale 0 to 1.

    Args:
        mean: (D,), the mean tile.
        variances: (D,), along the axes, largest first.
        axes: (D, D), one axis per column, in the order of `variances`.
    """

    mean: Floats
    variances: Floats
    axes: Floats


@dataclass(frozen=True)
class Statistics:
    """Statistics of the training pixels for preprocessing and augmentation, on the scale 0 to 1.

    Args:
        mean: of each channel.
        deviation: standard deviation of each channel (of the population).
        covariance: (C, C) between channels.
        pixels: number of pixels that each channel was computed from.
        mean_image: (H, W, C).
        whitening: principal axes of tiles; None without whitening.
    """

    mean: list[float]
    deviation: list[float]
    covariance: list[list[float]]
    pixels: int
    mean_image: Floats
    whitening: Whitening | None = None

    def colour_axes(self) -> tuple[Floats, Floats]:
        """Return variances (C,), largest first, and axes (C, C), one per column, of the colours."""
        return principal_axes(np.array(self.covariance))

    def centred(self, rows: int, columns: int) -> Statistics:
        """Return the statistics for centre crops of the images."""
        top, left = ((a - b) // 2 for a, b in zip(self.mean_image.shape, (rows, columns), strict=False))
        return replace(self, mean_image=self.mean_image[top : top + rows, left : left + columns])

    def save(self, folder: Path) -> None:
        """Write `statistics.json`, `mean_image.npy`, and, with whitening, `whitening_<part>.npy`."""
        numbers = {key: getattr(self, key) for key in ("mean", "deviation", "covariance", "pixels")}
        (folder / NUMBERS).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
        np.save(folder / MEAN_IMAGE, self.mean_image)
        for part, values in asdict(self.whitening).items() if self.whitening else ():
            np.save(folder / f"whitening_{part}.npy", values)

    @classmethod
    def load(cls, folder: Path) -> Statistics:
        """Read what `save` wrote."""
        numbers = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
        parts = {
            part: np.load(folder / f"whitening_{part}.npy")
            for part in Whitening.__dataclass_fields__
            if (folder / f"whitening_{part}.npy").exists()
        }
        return cls(
            **numbers,
            mean_image=np.load(folder / MEAN_IMAGE),
            whitening=Whitening(**parts) if parts else None,
        )


def pieces_of(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield a (memory-mapped) array in pieces of some megabytes; each is released when the next is requested."""
    step = max(1, PIECE // images[0].size)
    for start in range(0, len(images), step):
        yield images[start : start + step]
        _forget_pages(images)


def measure(pieces: Iterable[NDArray[np.uint8]], *, patch: tuple[int, int] | None) -> Statistics:
    """Compute the statistics of images that arrive in pieces.

    Args:
        patch: rows and columns of the tiles whose principal axes are computed, divisors of those of the images; None
            without whitening.
    """
    count = 0
    total: Wholes | int = 0
    of_colours: Floats | int = 0
    of_tiles: Floats | int = 0
    for piece in pieces:
        count += len(piece)
        total = total + piece.sum(axis=0, dtype=np.uint32).astype(np.int64)  # a piece has below 2**24 images
        of_colours += _products(piece.reshape(-1, piece.shape[-1]))
        if patch is not None:
            of_tiles += _products(cut_tiles(piece, patch))
    total = np.asarray(total)
    colours = _Moments.of(total.reshape(-1, total.shape[-1]), of_colours, count)
    tiles = None if patch is None else _Moments.of(cut_tiles(total[None], patch), of_tiles, count)
    mean, covariance = colours.result()
    return Statistics(
        mean=mean.tolist(),
        deviation=[sqrt(spread) / colours.count / 255 for spread in colours.spreads()],
        covariance=covariance.tolist(),
        pixels=colours.count,
        mean_image=total / count / 255,
        whitening=None if tiles is None else tiles.whitening(),
    )


def cut_tiles(images: NDArray[Value], patch: tuple[int, int]) -> NDArray[Value]:
    """Cut images into tiles that do not overlap: (N, H, W, C) to (tiles, D)."""
    count, rows, columns, channels = images.shape
    p, q = patch
    cut = images.reshape(count, rows // p, p, columns // q, q, channels)
    return cut.transpose(0, 1, 3, 5, 2, 4).reshape(-1, channels * p * q)


def principal_axes(covariance: Floats) -> tuple[Floats, Floats]:
    """Return variances, largest first, and axes as columns; the largest part of each axis is positive.

    They are computed on one thread, since LAPACK's last bits depend on the number of threads.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        variances, axes = np.linalg.eigh(covariance)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])
    return variances, np.ascontiguousarray(axes * signs)


def _forget_pages(images: NDArray[np.uint8]) -> None:
    """Release the pages of a memory map that were read, so that they do not add to the memory of the process."""
    if isinstance(images.base, mmap.mmap) and not images.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        images.base.madvise(mmap.MADV_DONTNEED)


def _products(rows: NDArray[np.uint8]) -> Floats:
    """Return the products of all pairs of columns: (N, D) to (D, D)."""
    columns = rows.shape[1]
    step = max(PART // columns, columns)  # with fewer rows than columns, the additions would dominate
    parts = (rows[start : start + step].astype(np.float64) for start in range(0, len(rows), step))
    return np.asarray(sum(part.T @ part for part in parts))


@dataclass(frozen=True)
class _Moments:
    """First and second moments of vectors of D bytes.

    Args:
        count: number of vectors.
        total: (D,), their sum.
        products: (D, D), the sum of their outer products.
    """

    count: int
    total: Wholes
    products: Floats

    @classmethod
    def of(cls, totals: Wholes, products: Floats | int, count: int) -> _Moments:
        """Return the moments, given the sums over `count` images of the vector at each position: (positions, D)."""
        return cls(count * len(totals), totals.sum(axis=0), np.asarray(products))

    def spreads(self) -> list[int]:
        """Return the variance of each value times count squared, as integers.

        The deviation of a constant value is therefore exactly 0.
        """
        squares = np.diagonal(self.products)
        pairs = zip(self.total.tolist(), squares.tolist(), strict=True)
        return [self.count * int(square) - total**2 for total, square in pairs]

    def whitening(self) -> Whitening:
        """Return mean and principal axes."""
        mean, covariance = self.result()
        return Whitening(mean, *principal_axes(covariance))

    def result(self) -> tuple[Floats, Floats]:
        """Return mean (D,) and covariance (D, D) on the scale 0 to 1."""
        mean = self.total / self.count / 255
        return mean, self.products / self.count / 255**2 - np.outer(mean, mean)
