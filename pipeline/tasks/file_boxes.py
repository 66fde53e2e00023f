"""Boxes in pixels of the image's file, as a user gets them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.resizing import Placement


def boxes_in_file(boxes: NDArray[Any], place: Placement) -> NDArray[np.float64]:
    """Return boxes (n, 4) of the network's image in pixels of its file, cut at the borders of the file."""
    corners = place.to_original(boxes.reshape(-1, 2, 2).astype(np.float64))
    cut: NDArray[np.float64] = np.clip(corners, 0, place.original[::-1]).reshape(-1, 4)
    return cut
