"""Views: the crops and mirror images of a test image that a model sees, and how its outputs are averaged.

Sources: ten crops, Krizhevsky et al. 2012, section 4.1: the corners, the centre, and their mirror images; the
predictions' softmax is averaged.
Shapes: images (N, C, H, W); outputs (N, K), or (N, K, H, W) for dense tasks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Views:
    """One or several views of an image.

    Args:
        crops: `centre`, or `corners` for the four corners and the centre.
        mirror: whether each crop is also seen mirrored left to right.
    """

    def __init__(self, *, crops: str, mirror: bool) -> None:
        self.crops = crops
        self.mirror = mirror

    def predict(self, model: Callable[[Tensor], Tensor], images: Tensor, sides: tuple[int, int]) -> Tensor:
        """Return the outputs of a model, averaged over the views as probabilities.

        Args:
            images: (N, C, H, W).
            sides: rows and columns that the model sees.

        Returns:
            The outputs of a single view unchanged; for several, the logarithm of the mean of their softmax, whose
            softmax is that mean.
        """
        outputs = [
            self._seen(model, view, flips) for view in self._cut(images, sides) for flips in self._flips()
        ]
        if len(outputs) == 1:
            return outputs[0]
        return torch.stack([each.float().softmax(dim=1) for each in outputs]).mean(dim=0).log()

    def _flips(self) -> tuple[bool, ...]:
        return (False, True) if self.mirror else (False,)

    def _cut(self, images: Tensor, sides: tuple[int, int]) -> list[Tensor]:
        rows, columns = sides
        down, across = images.shape[-2] - rows, images.shape[-1] - columns
        places = [(down // 2, across // 2)]
        if self.crops == "corners":
            places += [(0, 0), (0, across), (down, 0), (down, across)]
        return [images[..., top : top + rows, left : left + columns] for top, left in places]

    @staticmethod
    def _seen(model: Callable[[Tensor], Tensor], view: Tensor, flips: bool) -> Tensor:
        """Return the outputs for a view; dense outputs are flipped back."""
        outputs = model(view.flip(-1) if flips else view)
        return outputs.flip(-1) if flips and outputs.ndim > 2 else outputs
