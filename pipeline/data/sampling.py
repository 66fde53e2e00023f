"""Which images an epoch trains on, in which order: each once, or each class as often as every other.

A *draw* is a number that names an image and how often it came before in the epoch: image `draw % N` of N, for the
`draw // N`-th time, counted from 0. So repeated images are augmented anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Draws = NDArray[np.int64]


def shuffled(num_samples: int, random: np.random.Generator) -> Draws:
    """Return every image once, in random order."""
    order = np.arange(num_samples)
    random.shuffle(order)
    return order


def balanced(labels: NDArray[Any], random: np.random.Generator) -> Draws:
    """Return as many draws as there are images, in random order, in which each class is as frequent.

    Each class that has images gets the same number of draws; if they do not divide evenly, random classes get one more.
    All images of a class are drawn before one is drawn again, so frequent classes lose images, at random in each epoch.

    Args:
        labels: (N,) class of each image.
    """
    num_samples = len(labels)
    classes = np.unique(labels)
    quotas = np.full(len(classes), num_samples // len(classes))
    quotas[random.permutation(len(classes))[: num_samples % len(classes)]] += 1
    parts = []
    for name, quota in zip(classes, quotas, strict=True):
        members = np.flatnonzero(labels == name)
        rounds, rest = divmod(int(quota), len(members))
        parts.append((members + num_samples * np.arange(rounds)[:, None]).ravel())
        parts.append(random.choice(members, rest, replace=False) + num_samples * rounds)
    draws = np.concatenate(parts)
    random.shuffle(draws)
    return draws
