"""Predictions of segmentation for a user: a mask in the size of the image on disk, and the share of each class in it.

Shapes: H rows, W columns; masks (H, W) of class indices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.facts import Facts
from pipeline.data.images import find_resizing
from pipeline.tasks.predictions import Predicted, Presented, class_columns

FREE_COLOURS = tuple(
    f"#{3 * f'{level:02x}'}" for level in range(256)
)  # of what is no class, the first one unused
FREE_VALUES = (*range(255, -1, -1), *range(256, 65536))
NO_CLASS = 255  # where the network does not see the image; never the index of a class

Mask = NDArray[np.uint8]


def present(predicted: Predicted, facts: Facts) -> Presented:
    """Present a mask as a file with the values of the user's masks; each class counts for its share of the pixels."""
    mask = find_resizing(facts).place(predicted.sides).restore(predicted.decoded, unseen=NO_CLASS)
    counts = Image.fromarray(mask).histogram()
    shares = [counts[index] / mask.size for index in range(len(facts.classes))]
    return Presented(
        {column: f"{share:.6f}" for column, share in zip(class_columns(facts.classes), shares, strict=True)},
        arrays={"mask": to_user_values(mask, facts)},
        shares=dict(zip(facts.classes, shares, strict=True)),
        mask=np.where(mask == NO_CLASS, 0, mask).astype(np.uint8, copy=False),
    )


def to_user_values(mask: Mask, facts: Facts) -> NDArray[Any]:
    """Return a mask with the values of the user's own masks: (H, W), or colours (H, W, 3), see `data.mask_values`.

    A class of several values gets the first one. What is no class gets the value to ignore, or one that no class has.
    """
    values = facts.mask_values
    if values is None:
        ignored = NO_CLASS if facts.ignore_label is None else facts.ignore_label
        return mask if ignored == NO_CLASS else np.where(mask == NO_CLASS, np.uint8(ignored), mask)
    has_colours = isinstance(next(iter(values)), str)
    unseen = next((value for value, name in values.items() if name is None), None)
    if unseen is None:
        unseen = next(
            value for value in (FREE_COLOURS if has_colours else FREE_VALUES) if value not in values
        )
    first = {name: value for value, name in reversed(values.items()) if name is not None}
    table = {NO_CLASS: unseen, **{index: first[name] for index, name in enumerate(facts.classes)}}
    looked_up = np.zeros((NO_CLASS + 1, 3) if has_colours else NO_CLASS + 1, dtype=np.uint16)
    for index, value in table.items():
        looked_up[index] = tuple(bytes.fromhex(value[1:])) if isinstance(value, str) else value
    found: NDArray[Any] = looked_up.astype(np.uint8 if looked_up.max() < 256 else np.uint16)[mask]
    return found
