"""Views of a test image: the crops and mirror images on which predictions are averaged.

Source: ten crops, Krizhevsky et al. 2012, section 4.1: the corners, the centre, and their mirror images.
Shapes: images (N, C, H, W).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from pipeline.transforms.settings import ViewSettings


class View(NamedTuple):
    """A crop by its first row and column, mirrored left to right or not."""

    top: int
    left: int
    is_mirrored: bool


def make_views(settings: ViewSettings, sides: tuple[int, int], seen: tuple[int, int]) -> list[View]:
    """Return the views of an image.

    Args:
        sides: rows and columns of the image.
        seen: rows and columns of the network's input.
    """
    down, across = sides[0] - seen[0], sides[1] - seen[1]
    places = [(down // 2, across // 2)]
    if settings.crops == "corners":
        places += [(0, 0), (0, across), (down, 0), (down, across)]
    return [View(*place, flips) for place in places for flips in (False, True)[: 1 + settings.mirror]]


def see(images: Tensor, view: View, seen: tuple[int, int]) -> Tensor:
    """Return a view of images, of shape (N, C, *seen)."""
    cropped = images[..., view.top : view.top + seen[0], view.left : view.left + seen[1]]
    return cropped.flip(-1) if view.is_mirrored else cropped
