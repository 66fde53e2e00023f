"""Scores of distances between images of identities: verification of pairs, and recognition among a gallery.

A pair is genuine if both images are of one identity, and of impostors otherwise; it is accepted if its distance is at
most a threshold. FAR is the share of impostors that is accepted, FRR that of genuine pairs that is not. Both cross at
the equal error rate (EER).

In N-way one-shot recognition, a gallery has one image of the identity of a query, and one image each of N - 1 others;
the query is recognised if no image of others is as near as the one of its identity. Rank-1 is the same with all
identities. Both are means over all galleries, and not over random ones: given a query and the image of its identity,
the chance of an other identity j not to be as near is the share s_j of its images that are farther, so that the mean
over all choices of N - 1 others is e(N - 1) / C(J, N - 1), where e(k) is the elementary symmetric polynomial of the J
shares.
Shapes: N images, P identities, Q pairs of a query and an image of its identity; points (N, D), weights (N,).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform

Array = NDArray[np.float64]

FAR = 0.01  # at which the share of accepted genuine pairs is a score
FEWEST_IMPOSTORS = 1000  # pairs; with fewer, ten false accepts or less decide what FAR 1 % is
WAYS = 8  # identities in the gallery of one-shot recognition
MOST_SHOTS = 9  # images of its identity that a query is compared with, one at a time; fewer with many queries
MOST_QUERIES = 4000  # pairs of a query and such an image
MOST_WAYS = 1000  # identities in a gallery
MOST_IMAGES = 2000  # that are compared with each other, which takes 2 million pairs


@dataclass(frozen=True)
class Roc:
    """Shares of accepted pairs at each distance, starting with those of no distance.

    Args:
        distances: (T,), the first is -inf.
        far: (T,) of impostors, from 0 to 1.
        tar: (T,) of genuine pairs, from 0 to 1.
    """

    distances: Array
    far: Array
    tar: Array

    def area(self) -> float:
        """Return the area under the curve: the chance that a genuine pair is nearer than one of impostors."""
        return float(np.trapezoid(self.tar, self.far))

    def equal_error(self) -> float:
        """Return the EER, between two distances by linear interpolation."""
        excess = self.far + self.tar - 1
        place = int(np.searchsorted(excess, 0))
        if excess[place] == 0:
            return float(self.far[place])
        part = -excess[place - 1] / (excess[place] - excess[place - 1])
        return float(self.far[place - 1] + part * (self.far[place] - self.far[place - 1]))

    def equal_threshold(self) -> float:
        """Return the threshold at which FAR and FRR differ least, in the middle between two distances."""
        place = int(np.abs(self.far + self.tar - 1)[1:].argmin()) + 1
        following = self.distances[min(place + 1, len(self.distances) - 1)]
        return float((self.distances[place] + following) / 2)

    def accepted_at(self, far: float) -> float:
        """Return the largest share of genuine pairs that is accepted with at most that FAR."""
        return float(self.tar[int(np.searchsorted(self.far, far, side="right")) - 1])

    def rates(self, threshold: float) -> tuple[float, float]:
        """Return FAR and FRR at a threshold."""
        place = int(np.searchsorted(self.distances, threshold, side="right")) - 1
        return float(self.far[place]), float(1 - self.tar[place])


class Pairs:
    """The distances between images, and what they say of the identities.

    Args:
        points: (N, D), between which the distances are taken.
        identities: (N,).
        metric: `euclidean` or `cityblock`.
    """

    def __init__(self, points: Array, identities: Array, metric: str) -> None:
        condensed = pdist(points, metric) if len(points) > 1 else np.empty(0)
        first, second = np.triu_indices(len(points), 1)
        order = np.argsort(condensed, kind="stable")
        self.identities = identities
        self.distances = condensed[order]
        self.first, self.second = first[order], second[order]
        self.is_genuine = identities[self.first] == identities[self.second]
        self.matrix: Array = squareform(condensed) if len(points) > 1 else np.zeros((len(points),) * 2)

    @property
    def num_impostors(self) -> int:
        """Number of pairs of two identities."""
        return int((~self.is_genuine).sum())

    def roc(self, weights: Array | None = None) -> Roc | None:
        """Return the curve; None without pairs of both kinds.

        Args:
            weights: how often each image was drawn, with its whole identity; None for once. An image is not paired with
                itself, however often it was drawn.
        """
        both = self.is_genuine, ~self.is_genuine
        if weights is None:
            counts = [each.astype(np.float64) for each in both]
        else:
            products = weights[self.first] * weights[self.second]
            counts = [np.sqrt(products) * both[0], products * both[1]]
        sums = [each.cumsum() for each in counts]
        if not all(each.size and each[-1] > 0 for each in sums):
            return None
        is_last = np.append(self.distances[1:] != self.distances[:-1], True)
        tar, far = (np.append(0.0, each[is_last] / each[-1]) for each in sums)
        return Roc(np.append(-np.inf, self.distances[is_last]), far, tar)

    def recognised(self, ways: int, weights: Array | None = None) -> float:
        """Return the share of queries that are recognised among so many identities; NaN if there are fewer.

        Args:
            weights: as of `roc`; an identity that was drawn twice may be in a gallery twice, but is never its own
                impostor.
        """
        shots, drawn = self._shots, np.ones(self.num_identities)
        of_query = np.ones(len(shots.queries))
        if weights is not None:
            drawn, of_query = weights[self._first_of_each], weights[shots.queries]
        others = drawn.sum() - drawn[shots.own]
        of_query = of_query * (others >= ways - 1)
        if not of_query.sum() or self.num_identities < ways:
            return float("nan")
        if weights is None and ways == self.num_identities:
            shares = shots.shares.copy()
            shares[np.arange(len(shares)), shots.own] = 1
            return float(shares.prod(axis=1).mean())
        products = symmetric_sums(shots.shares, drawn, ways - 1)[-1]
        subsets = np.array([max(comb(round(count), ways - 1), 1) for count in others])
        return float((products / subsets) @ of_query / of_query.sum())

    def recognised_by_size(self) -> list[tuple[int, float]]:
        """Return pairs of the number of identities in the gallery, from 2 to all, and the share that is recognised."""
        others = min(self.num_identities, MOST_WAYS) - 1
        if others < 1 or not len(self._shots.queries):
            return []
        ones = np.ones(self.num_identities)
        sums = symmetric_sums(self._shots.shares, ones, others).mean(axis=1)
        total = self.num_identities - 1
        return [(size + 1, float(sums[size] / comb(total, size))) for size in range(1, others + 1)]

    @property
    def num_identities(self) -> int:
        """P."""
        return len(self._first_of_each)

    @cached_property
    def _first_of_each(self) -> NDArray[np.intp]:
        """Return the index of the first image of each identity."""
        return np.unique(self.identities, return_index=True)[1]

    @cached_property
    def _shots(self) -> Shots:
        """Return queries with images of their identity, at most `MOST_SHOTS` of these for each."""
        _, places, counts = np.unique(self.identities, return_inverse=True, return_counts=True)
        order = np.argsort(places, kind="stable")
        starts = np.append(0, counts.cumsum()[:-1])
        most = min(MOST_SHOTS, max(MOST_QUERIES // max(len(order), 1), 1))
        queries: list[int] = []
        shares = [np.empty((0, len(counts)))]
        for rank, query in enumerate(order):
            own = places[query]
            start, count = starts[own], counts[own]
            following = (rank - start + 1 + np.arange(min(count - 1, most))) % count
            reach = self.matrix[query, order[start + following]]
            is_farther = self.matrix[query, order] > reach[:, None]
            found = np.add.reduceat(is_farther, starts, axis=1, dtype=np.float64) / counts
            found[:, own] = 0  # its own identity is none of the others
            queries += [int(query)] * len(following)
            shares.append(found)
        chosen = np.array(queries, np.intp)
        return Shots(chosen, places[chosen], np.concatenate(shares))


@dataclass(frozen=True)
class Shots:
    """Queries, each with an image of its identity.

    Args:
        queries: (Q,) index of the query.
        own: (Q,) place of its identity.
        shares: (Q, P) of the images of each other identity that are farther from the query; 0 for its own.
    """

    queries: NDArray[np.intp]
    own: NDArray[np.intp]
    shares: Array


def symmetric_sums(shares: Array, counts: Array, size: int) -> Array:
    """Return the elementary symmetric polynomials of degree 0 to `size`: (size + 1, Q).

    Args:
        shares: (Q, P).
        counts: (P,) how often each of them may be chosen.
    """
    sums = np.zeros((size + 1, len(shares)))
    sums[0] = 1
    for share, count in zip(np.ascontiguousarray(shares.T), counts, strict=True):
        for _ in range(round(count)):
            sums[1:] += share * sums[:-1]
    return sums
