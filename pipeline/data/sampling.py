"""Which images an epoch trains on, in which order: each once, each class as often as every other, or in equal batches.

A *draw* is a number that names an image and how often it came before in the epoch: image `draw % N` of N, for the
`draw // N`-th time, counted from 0. So repeated images are augmented anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, warn

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


def batches_per_class(
    labels: NDArray[Any], random: np.random.Generator, *, num_classes: int, per_class: int
) -> list[Draws]:
    """Return batches of `per_class` images of each of `num_classes` classes (P x K of Hermans et al. 2017).

    The images of a class are shuffled and divided into as many portions as they fill; a class with fewer images fills
    one by repeating some. Each batch has portions of different classes, of which those with most portions left come
    first. What then fills no batch is left out of this epoch: portions of fewer classes, and images of no portion.

    Args:
        labels: (N,) class of each image.
    """
    num_samples, names = len(labels), np.unique(labels)
    portions = [_portions(np.flatnonzero(labels == name), num_samples, per_class, random) for name in names]
    batches = []
    for chosen in _fill([len(each) for each in portions], num_classes, random):
        batches.append(np.concatenate([portions[place].pop() for place in chosen]))
    return [batches[place] for place in random.permutation(len(batches))]


def count_batches(labels: NDArray[Any], *, num_classes: int, per_class: int) -> int:
    """Return how many batches `batches_per_class` makes, which no random number changes."""
    _, counts = np.unique(labels, return_counts=True)
    sizes = np.maximum(counts // per_class, 1).tolist()
    return len(_fill(sizes, num_classes, np.random.default_rng(0)))


def check_per_class(labels: NDArray[Any], *, num_classes: int, per_class: int) -> None:
    """Check that there are enough classes for a batch, and enough images of some class; warn about the others.

    Raises:
        ConfigError: there are not.
    """
    _, counts = np.unique(labels, return_counts=True)
    path = "trainer.sampler.per_class"
    if counts.max() < per_class:
        raise ConfigError(
            path,
            f"no class or identity of the training split has so many images, the largest has {counts.max()}",
            got=per_class,
            hint="choose a smaller number, or add images",
        )
    if len(counts) < num_classes:
        raise ConfigError(
            "trainer.batch_size",
            f"batches have {per_class} images each of {num_classes} classes or identities, and the training split has "
            f"{len(counts)} of these",
            got=num_classes * per_class,
            hint=f"set it to at most {len(counts) * per_class}, or add images",
        )
    if few := int((counts < per_class).sum()):
        warn(
            f"{path}: classes or identities of the training split with fewer than {per_class} images: {few:,} of "
            f"{len(counts):,}; some of their images are repeated, each augmented anew"
        )


def _portions(members: Draws, num_samples: int, per_class: int, random: np.random.Generator) -> list[Draws]:
    """Return the shuffled images of a class in portions; repeated ones are draws of their own."""
    order = random.permutation(members)
    if len(order) < per_class:
        rounds = np.arange(per_class) // len(order)
        return [np.resize(order, per_class) + num_samples * rounds]
    return np.split(order[: len(order) // per_class * per_class], len(order) // per_class)


def _fill(sizes: Sequence[int], num_classes: int, random: np.random.Generator) -> list[list[int]]:
    """Return the classes of each batch, those with most portions left first, in random order where equal.

    Args:
        sizes: portions of each class.
    """
    queue = [(-size, float(random.random()), place) for place, size in enumerate(sizes)]
    heapify(queue)
    batches = []
    while len(queue) >= num_classes:
        chosen = [heappop(queue) for _ in range(num_classes)]
        batches.append([place for _, _, place in chosen])
        for size, _, place in chosen:
            if size < -1:
                heappush(queue, (size + 1, float(random.random()), place))
    return batches
