"""A network on images of any sides, whole or in tiles.

Images are padded below and at the right by their last pixels where a network takes multiples of some number alone, and
outputs are cut back. Tiles overlap by what an output sees, so that outputs are those of the whole image.
Shapes: images (N, C, H, W) uint8, outputs (N, K, f H, f W), where f is a whole factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.data.degrade_facts import find_factor
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import find_multiple, plan_for

MOST_PIXELS = 2**20  # that are seen at once
TILE = 512  # rows and columns of a tile, without its overlap
PROBE = 512  # rows and columns by which is found how far an output sees

Span = tuple[int, int]


class WholeImages:
    """A model on images of any sides.

    Args:
        declaration: of the model, whose network takes other sides than `input_shape`, see `find_multiple`.
        model: maps images to outputs.
        tile: rows and columns of a tile, a multiple of 64.
        most: pixels of an image that are seen at once.

    Attributes:
        reach: pixels of an image that an output sees beside its own, at most; None if it sees all of them.
    """

    def __init__(
        self,
        declaration: Declaration,
        model: Callable[[Tensor], Tensor],
        *,
        tile: int = TILE,
        most: int = MOST_PIXELS,
    ) -> None:
        multiple = find_multiple(declaration)
        assert multiple is not None, "see check_whole"
        self._multiple, self._factor = multiple, find_factor(declaration.data)
        self._model, self._tile, self._most = model, tile, most
        network = plan_for(declaration, (PROBE, PROBE))
        seen = max((*network.layers, *network.head)[-1].view.pixels)
        self._fewest = (
            2 * multiple if network.has_norms_over_maps else multiple
        )  # of one value, no variance is taken
        sees_all = seen >= PROBE or network.has_norms_over_maps
        self.reach = None if sees_all else -(-seen // multiple) * multiple

    def __call__(self, images: Tensor) -> Tensor:
        """Return the outputs for images."""
        rows, columns = images.shape[2:]
        down, right = (max(-side % self._multiple, self._fewest - side) for side in (rows, columns))
        padded = images
        if down or right:
            padded = functional.pad(images.float(), (0, right, 0, down), mode="replicate").to(images.dtype)
        if self.reach is None or padded.shape[2] * padded.shape[3] <= self._most:
            outputs = self._model(padded)
        else:
            outputs = self._in_tiles(padded, self.reach)
        return outputs[..., : rows * self._factor, : columns * self._factor]

    def _in_tiles(self, images: Tensor, reach: int) -> Tensor:
        """Return the outputs for images, computed tile by tile."""
        bands = []
        for top, bottom in self._spans(images.shape[2]):
            parts = []
            for left, right in self._spans(images.shape[3]):
                above, before = max(0, top - reach), max(0, left - reach)
                tile = images[..., above : bottom + reach, before : right + reach]
                outputs = self._model(tile.contiguous(memory_format=torch.channels_last))
                rows, columns = self._inside(top, bottom, above), self._inside(left, right, before)
                parts.append(outputs[..., rows, columns])
            bands.append(torch.cat(parts, dim=3))
        return torch.cat(bands, dim=2)

    def _spans(self, side: int) -> Iterator[Span]:
        """Yield first and last pixel, the latter excluded, of the tiles along an axis."""
        for start in range(0, side, self._tile):
            yield start, min(start + self._tile, side)

    def _inside(self, start: int, end: int, first: int) -> slice:
        """Return where the outputs of a span are in those of a tile that begins with a pixel before it."""
        return slice((start - first) * self._factor, (end - first) * self._factor)
