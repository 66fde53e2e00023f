"""Statistics of training images, streamed: memory does not grow with their number.

Sums of 8-bit values, of their squares and of their products are whole numbers that float64 holds exactly, so the
size of the pieces changes nothing.
Shapes: images are (N, H, W, C) uint8; tiles of p rows and q columns are vectors of D = C p q values in that order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PIECE = 2**22  # values in memory at a time
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
    """What preprocessing and augmentation need to know of all training pixels, on the scale 0 to 1.

    Args:
        mean: of each channel.
        deviation: standard deviation of each channel (of the population).
        covariance: (C, C) between channels.
        pixels: how many pixels each channel was computed from.
        mean_image: (H, W, C).
        whitening: axes of tiles, where the preprocessing whitens.
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
        """Return the statistics for a network that sees the centre of the images."""
        top, left = ((a - b) // 2 for a, b in zip(self.mean_image.shape, (rows, columns), strict=False))
        return replace(self, mean_image=self.mean_image[top : top + rows, left : left + columns])

    def save(self, folder: Path) -> None:
        """Write `statistics.json`, `mean_image.npy`, and `whitening_<part>.npy` where there is one."""
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
    """Yield a (memory-mapped) array in pieces of some megabytes."""
    step = max(1, PIECE // images[0].size)
    return (images[start : start + step] for start in range(0, len(images), step))


def measure(pieces: Iterable[NDArray[np.uint8]], *, patch: tuple[int, int] | None) -> Statistics:
    """Compute the statistics of images that arrive in pieces.

    Args:
        patch: rows and columns of the tiles to find the principal axes of, which divide those of the images; None
            where nothing is whitened.
    """
    total: NDArray[np.int64] | int = 0
    count = 0
    colours, tiles = _Moments(), _Moments()
    for piece in pieces:
        count += len(piece)
        total = total + piece.sum(axis=0, dtype=np.int64)
        colours.add(piece.reshape(-1, piece.shape[-1]))
        if patch is not None:
            tiles.add(tiles_of(piece, patch))
    mean, covariance = colours.result()
    return Statistics(
        mean=mean.tolist(),
        deviation=[sqrt(spread) / colours.count / 255 for spread in colours.spreads()],
        covariance=covariance.tolist(),
        pixels=colours.count,
        mean_image=np.asarray(total) / count / 255,
        whitening=None if patch is None else tiles.whitening(),
    )


def tiles_of(images: NDArray[np.uint8], patch: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut images into tiles that do not overlap: (N, H, W, C) to (tiles, D)."""
    count, rows, columns, channels = images.shape
    p, q = patch
    cut = images.reshape(count, rows // p, p, columns // q, q, channels)
    return cut.transpose(0, 1, 3, 5, 2, 4).reshape(-1, channels * p * q)


def principal_axes(covariance: Floats) -> tuple[Floats, Floats]:
    """Return variances, largest first, and axes as columns; the largest part of each axis is positive."""
    variances, axes = np.linalg.eigh(covariance)
    variances, axes = np.maximum(variances[::-1], 0), axes[:, ::-1]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])
    return variances, np.ascontiguousarray(axes * signs)


class _Moments:
    """First and second moments of rows of bytes (N, D)."""

    def __init__(self) -> None:
        self.count = 0
        self._total: NDArray[np.int64] | int = 0
        self._products: Floats | int = 0

    def add(self, rows: NDArray[np.uint8]) -> None:
        self.count += len(rows)
        self._total = self._total + rows.sum(axis=0, dtype=np.int64)
        values = rows.astype(np.float64)
        self._products = self._products + values.T @ values

    def spreads(self) -> list[int]:
        """Return the squared deviation of each value times count squared, in whole numbers.

        So the deviation of a value that never changes is 0 and not a rounding error.
        """
        squares = np.diagonal(self._products)
        pairs = zip(np.asarray(self._total).tolist(), squares.tolist(), strict=True)
        return [self.count * int(square) - total**2 for total, square in pairs]

    def whitening(self) -> Whitening:
        """Return mean and principal axes."""
        mean, covariance = self.result()
        return Whitening(mean, *principal_axes(covariance))

    def result(self) -> tuple[Floats, Floats]:
        """Return mean (D,) and covariance (D, D) on the scale 0 to 1."""
        mean = np.asarray(self._total) / self.count / 255
        return mean, np.asarray(self._products) / self.count / 255**2 - np.outer(mean, mean)
