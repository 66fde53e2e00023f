"""Splits of data that come without: by share, drawn from each file's own name.

A file's draw depends on its name, its class and the seed alone, so that adding files never moves one
that was there from the test split into training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def split_by_name(labels: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Assign each file to train, val or test.

    Args:
        labels: file name -> class index; each class is split by the same shares, in expectation.
        shares: {val, test, seed}; val and test are probabilities.

    Returns:
        File name -> split.
    """
    return {name: _split(f"{shares['seed']}/{label}/{name}", shares) for name, label in labels.items()}


def _split(text: str, shares: Mapping[str, float]) -> str:
    draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    if draw < shares["test"]:
        return "test"
    return "val" if draw < shares["test"] + shares["val"] else "train"
