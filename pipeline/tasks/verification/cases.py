"""Test cases of verification: a row per image, curves, a map of embeddings, and the hardest pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures.distances import draw_distances, draw_map, draw_recognition, draw_roc
from pipeline.pictures.sheets import draw_sheet
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.pairs import Pairs, Roc
from pipeline.tasks.verification.task import Verification

COLUMNS = (
    "file",
    "identity",
    "farthest_own",
    "own_distance",
    "nearest_other",
    "other_identity",
    "other_distance",
)
MOST_PAIRS = 8  # of each kind
PAIRS_ACROSS = 4  # pairs in a row of a sheet


def rows(task: Verification, evaluated: Evaluated) -> Iterator[tuple[str, ...]]:
    """Yield a row of `COLUMNS` for each image: the least alike of its identity, and the most alike of the others."""
    names = _names(evaluated)
    identities = evaluated.evidence[:, -1]
    for index, distances in enumerate(task.distances_of(evaluated.evidence)):
        is_own = identities == identities[index]
        own = np.where(is_own, distances, -np.inf)
        own[index] = -np.inf
        other = np.where(is_own, np.inf, distances)
        farthest, nearest = int(own.argmax()), int(other.argmin())
        has_own, has_other = bool(np.isfinite(own[farthest])), bool(np.isfinite(other[nearest]))
        yield (
            evaluated.files[index],
            names[index],
            evaluated.files[farthest] if has_own else "",
            f"{own[farthest]:.6f}" if has_own else "",
            evaluated.files[nearest] if has_other else "",
            names[nearest] if has_other else "",
            f"{other[nearest]:.6f}" if has_other else "",
        )


def draw(task: Verification, evaluated: Evaluated, folder: Path) -> None:
    """Draw the ROC curve, distances, recognition over the size of the gallery, a map, and the hardest pairs."""
    pairs = task.pairs(evaluated.evidence)
    names = _names(evaluated)[: len(pairs.identities)]
    draw_map(_principal(evaluated.evidence[: len(names), :-1]), names, folder / "map.png")
    if by_size := pairs.recognised_by_size():
        sizes, shares = zip(*by_size, strict=True)
        draw_recognition(sizes, shares, folder / "recognition.png")
    roc = pairs.roc()
    if roc is None:
        return
    threshold = roc.equal_threshold() if task.threshold is None else task.threshold
    _draw_curves(pairs, roc, threshold, folder)
    alike = _first_of_each(pairs, np.flatnonzero(~pairs.is_genuine))
    unlike = _first_of_each(pairs, np.flatnonzero(pairs.is_genuine)[::-1])
    for chosen, name in ((alike, "alike_impostors.png"), (unlike, "unlike_genuine.png")):
        _draw_pairs(pairs, chosen, threshold, evaluated, names, folder / name)


def _first_of_each(pairs: Pairs, order: NDArray[np.intp]) -> list[int]:
    """Return the first pairs in an order, at most one of the same two identities, or of the same one."""
    found: dict[tuple[float, ...], int] = {}
    for place in order:
        names = sorted(float(pairs.identities[end[place]]) for end in (pairs.first, pairs.second))
        found.setdefault(tuple(names), int(place))
        if len(found) == MOST_PAIRS:
            break
    return list(found.values())


def _draw_curves(pairs: Pairs, roc: Roc, threshold: float, folder: Path) -> None:
    far, frr = roc.rates(threshold)
    draw_roc(roc.far, roc.tar, folder / "roc.png", equal_error=roc.equal_error(), at_threshold=(far, 1 - frr))
    draw_distances(
        pairs.distances[pairs.is_genuine],
        pairs.distances[~pairs.is_genuine],
        folder / "distances.png",
        threshold=threshold,
    )


def _draw_pairs(
    pairs: Pairs,
    chosen: Sequence[int],
    threshold: float,
    evaluated: Evaluated,
    names: Sequence[str],
    path: Path,
) -> None:
    """Draw pairs side by side, with their distance and what is decided of them."""
    cells: list[int] = []
    captions: list[str] = []
    for place in chosen:
        first, second, distance = int(pairs.first[place]), int(pairs.second[place]), pairs.distances[place]
        verdict = "accepted" if distance <= threshold else "rejected"
        cells += [first, second]
        captions += [
            f"{names[first]}, {PurePath(evaluated.files[first]).stem}\n{distance:.3f}",
            f"{names[second]}, {PurePath(evaluated.files[second]).stem}\n{verdict}",
        ]
    images = [np.asarray(evaluated.images[index]) for index in cells]
    draw_sheet(images, path, captions=captions, columns=2 * PAIRS_ACROSS)


def _names(evaluated: Evaluated) -> list[str]:
    """Return the name of the identity of each image, or its number where none is known."""
    if evaluated.groups is not None:
        return list(evaluated.groups)
    return [f"{identity:.0f}" for identity in evaluated.evidence[:, -1]]


def _principal(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (N, D) on their first two principal axes, each pointing where its largest number is positive."""
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = np.concatenate((axes, np.zeros((2, axes.shape[1]))))[:2]
    largest = np.abs(axes).argmax(axis=1)
    signs = np.where(axes[[0, 1], largest] < 0, -1.0, 1.0)
    found: NDArray[np.float64] = centred @ (axes * signs[:, None]).T
    return found
