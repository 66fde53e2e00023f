"""Figure of the statistics of training images: mean image, principal axes of colours and tiles, their spectrum.

Shapes: H rows, W columns, C channels; tiles are vectors of D = C p q values, by channel, row, column.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.pictures.sheets import DPI, save

Floats = NDArray[np.float64]
Axis = tuple[Floats, Floats]  # variances, largest first, and axes as columns

TILES = 24  # axes of tiles that are shown
STEPS = np.linspace(-2, 2, 9)  # deviations along an axis of colour
PANEL = 2.6  # inches


def draw_statistics(
    mean_image: Floats, path: Path, *, colours: Axis | None, tiles: Axis | None, tile: tuple[int, int] | None
) -> None:
    """Draw the mean image, and the axes of colours and tiles if given.

    Args:
        mean_image: (H, W, C) on the scale 0 to 1.
        colours: variances and axes of the colours; None for grey images.
        tiles: variances and axes of tiles; None without whitening.
        tile: rows and columns of a tile.
    """
    num_panels = 1 + (colours is not None) + 2 * (tiles is not None)
    figure = Figure(figsize=(PANEL * num_panels, PANEL), dpi=DPI, layout="constrained")
    panels = iter(figure.subplots(1, num_panels, squeeze=False)[0])
    axis = next(panels)
    axis.imshow(_shown(mean_image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set_title(f"mean image, {mean_image.mean():.3f} of 0 to 1", fontsize=8)
    axis.set_axis_off()
    if colours is not None:
        _draw_colours(next(panels), mean_image.mean(axis=(0, 1)), *colours)
    if tiles is not None:
        assert tile is not None
        _draw_tiles(next(panels), tiles[1], tile)
        _draw_spectrum(next(panels), tiles[0])
    save(figure, path)


def _shown(image: Floats) -> Floats:
    """Return (H, W) for a grey image (H, W, 1), so that the colour map applies."""
    return image[..., 0] if image.shape[-1] == 1 else image


def _draw_colours(axis: Axes, mean: Floats, variances: Floats, axes: Floats) -> None:
    """Draw a row of swatches per axis: the mean colour, shifted by up to two standard deviations."""
    deviations = np.sqrt(variances)
    swatches = mean + STEPS[None, :, None] * (deviations * axes).T[:, None]
    axis.imshow(swatches.clip(0, 1), aspect="auto", interpolation="nearest")
    axis.set_yticks(range(len(variances)), [f"variance {variance:.2g}" for variance in variances], fontsize=7)
    axis.set_xticks([0, len(STEPS) // 2, len(STEPS) - 1], ["-2 dev.", "mean colour", "+2 dev."], fontsize=7)
    axis.set_title("principal axes of colour", fontsize=8)
    axis.tick_params(length=0)


def _draw_tiles(axis: Axes, axes: Floats, tile: tuple[int, int]) -> None:
    """Draw the largest axes as small images, each on its own scale."""
    columns = 6
    shown = axes[:, :TILES].T.reshape(-1, len(axes) // (tile[0] * tile[1]), *tile).transpose(0, 2, 3, 1)
    peaks = np.abs(shown).max(axis=(1, 2, 3), keepdims=True)
    framed = np.pad((shown / peaks + 1) / 2, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1)
    empty = np.ones((-len(framed) % columns, *framed.shape[1:]))
    rows = np.concatenate([framed, empty]).reshape(-1, columns, *framed.shape[1:])
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    axis.imshow(_shown(sheet), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set_title(f"first {len(shown)} axes of tiles of {tile[0]} x {tile[1]}", fontsize=8)
    axis.set_axis_off()


def _draw_spectrum(axis: Axes, variances: Floats) -> None:
    axis.semilogy(
        np.arange(1, len(variances) + 1), np.maximum(variances, 1e-12), color="#1f5fa8", linewidth=1.2
    )
    axis.set_title("variance along each axis", fontsize=8)
    axis.set_xlabel("axis", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
