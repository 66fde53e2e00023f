"""The difference between two methods on the same test images, and how far luck alone may explain it.

Two things are luck: which images the test split has, and which seed a training had. With one seed each, an interval
covers the images alone: it holds for two trained models. With several, trainings are paired by their seed, and the
variance of the mean difference has both parts,

    V = V_images + max(0, s^2 - E) / S,

where V_images is the bootstrap variance of the mean difference over images, s^2 the variance over the S seeds, and E
the part of s^2 that is luck of the images (models of different seeds fail on different ones), which V_images has too. E
follows from the bootstrap: of single seeds the variance is A + E, of their mean A + E / S. Degrees of freedom are
those of Welch and Satterthwaite.

Sources: McNemar 1947 (Psychometrika 12: 153), exact; the interval of a difference of paired shares by Agresti and Min
2005 (Statistics in Medicine 24: 729); other scores by the bootstrap of `intervals`; Holm 1979 (Scandinavian Journal of
Statistics 6: 65). docs/comparing.md holds the simulated coverage.
Shapes: S seeds, N images; evidence is (S, N, ...).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.pages.differences import DifferenceRow
from pipeline.tasks.intervals import (
    COVERED,
    FEWEST_UNITS,
    MOST_NUMBERS,
    NONE,
    Array,
    Bounds,
    Resampling,
    Scores,
    bca_bounds,
    draw_from,
    effective_units,
    expanded_tail,
    mean_interval,
    members_of,
    resample,
)

POWER = 0.8  # of the trainings that `more_seeds` asks for
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Difference:
    """The score of a second method minus that of a first one, as a mean over seeds.

    With fewer than `FEWEST_UNITS` groups of images, or evidence of more than `MOST_NUMBERS`, nothing is said of other
    images: `images` is NaN, and `total` and `p` are those of the seeds alone, NaN for one seed.

    Args:
        value: of the test images.
        total: 95 % interval of all that varies: of the images, and of the seed where there are several.
        images: 95 % interval over test images, for the weights as they are.
        seeds: 95 % interval over seeds, for the test images as they are; NaN for one seed.
        p: of the hypothesis that there is no difference, two-sided.
        num_seeds: S.
        only: how many images only the first, and only the second model gets right; None if the score is no share, or if
            there are several seeds.
        more_seeds: how many more seeds would show a difference as large as `value` in four of five attempts; None where
            no number would, or it is shown already.
    """

    value: float
    total: Bounds
    images: Bounds
    seeds: Bounds
    p: float
    num_seeds: int
    only: tuple[int, int] | None = None
    more_seeds: int | None = None


def paired_difference(
    scores: Scores,
    score: str,
    first: Array,
    second: Array,
    *,
    seed: int,
    is_share: bool,
    groups: Sequence[str] | None = None,
    resampled: Resampling | None = None,
) -> Difference:
    """Return the difference of a score between two methods.

    Args:
        scores: maps evidence (N, ...) to scores by name.
        first: evidence (S, N, ...) of the first method; of the same images as `second`.
        second: of the second method, trained with the same seeds.
        seed: the same seed and evidence always give the same bounds.
        is_share: whether the score is a mean of 0 or 1 for each image.
        groups: the group of each image; None if images are independent.
        resampled: as of `with_intervals`.
    """
    num_seeds, num_images = first.shape[:2]
    members = members_of(num_images, groups)
    is_grouped = len(members) < num_images

    pairs = [
        (draw_from(scores, a, resampled), draw_from(scores, b, resampled))
        for a, b in zip(first, second, strict=True)
    ]

    def differences(chosen: NDArray[np.intp]) -> Array:
        return np.array([b(chosen)[score] - a(chosen)[score] for a, b in pairs])

    found = differences(np.arange(num_images))
    value, only = float(found.mean()), None
    if is_share and num_seeds == 1:
        only = discordant(scores, score, first[0], second[0])
    over_seeds = mean_interval(found.tolist())[1:]
    if only is not None and not is_grouped:
        bounds, p = agresti_min_bounds(*only, num_images), mcnemar(*only)
        return Difference(value, bounds, bounds, over_seeds, p, 1, only)
    if len(members) < FEWEST_UNITS or first.size + second.size > MOST_NUMBERS:
        if num_seeds == 1:
            return Difference(value, NONE, NONE, over_seeds, float("nan"), 1, only)
        alone = Variance(0.0, 0.0, float(found.var(ddof=1)), num_seeds, float("inf"))
        more = alone.more_seeds(value) if over_seeds[0] <= 0 <= over_seeds[1] and value else None
        return Difference(value, over_seeds, NONE, over_seeds, alone.p(value), num_seeds, more_seeds=more)
    draws, left_out = map(np.array, resample(differences, members, np.random.default_rng(seed)))
    return combine(found, draws, left_out, num_units=effective_units(members), only=only)


def as_row(
    name: str, value: float, seeds: Sequence[int], difference: Difference, *, corrected: float
) -> DifferenceRow:
    """Return the row of a method in a table of differences.

    Args:
        value: its score, as a mean over seeds.
        seeds: those that are compared.
        corrected: p, corrected for several comparisons.
    """
    one = difference
    statistics = (one.value, one.total, one.images, one.seeds, one.p, corrected, one.only, one.more_seeds)
    return DifferenceRow(name, value, seeds, *statistics)


def combine(
    found: Array, draws: Array, left_out: Array, *, num_units: float, only: tuple[int, int] | None = None
) -> Difference:
    """Return the difference over seeds and images from its values in resamples.

    Args:
        found: (S,) of each seed.
        draws: (draws, S) of resampled units.
        left_out: (blocks, S) where a unit, or a block of as many, is left out.
        num_units: effective number of images, or of groups.
        only: see `Difference`.
    """
    value, num_seeds = float(found.mean()), len(found)
    tail = expanded_tail(num_units)
    over_images = bca_bounds(value, draws.mean(axis=1), left_out.mean(axis=1), tail=tail)
    if np.isfinite(draws).all() and not np.ptp(draws.mean(axis=1)):  # which the bootstrap has no interval for
        over_images = (value, value)
    variance = _variance(draws, found, num_units)
    total, more = over_images, None
    if num_seeds > 1:
        total = variance.bounds(value)
        more = variance.more_seeds(value) if value and total[0] <= 0 <= total[1] else None
    p = variance.p(value)
    return Difference(value, total, over_images, mean_interval(found.tolist())[1:], p, num_seeds, only, more)


@dataclass(frozen=True)
class Variance:
    """The variance of a mean difference over S seeds, see the module.

    Args:
        images: A, which more seeds do not reduce.
        both: E, of one seed.
        seeds: s^2 - E, of one seed, at least 0.
        num_seeds: S.
        num_units: effective number of images, or of groups.
    """

    images: float
    both: float
    seeds: float
    num_seeds: int
    num_units: float

    def of_mean(self, num_seeds: int) -> float:
        """Return the variance of the mean over some seeds."""
        return self.images + (self.both + self.seeds) / num_seeds

    def freedom(self, num_seeds: int) -> float:
        """Return the degrees of freedom for some seeds."""
        parts = [(self.images, self.num_units - 1)]
        if num_seeds > 1:
            parts.append(((self.both + self.seeds) / num_seeds, num_seeds - 1))
        weight = sum(part**2 / free for part, free in parts)
        return self.of_mean(num_seeds) ** 2 / weight if weight else self.num_units - 1

    def bounds(self, value: float) -> Bounds:
        """Return the 95 % interval of the mean difference."""
        return _student_bounds(value, self.of_mean(self.num_seeds) ** 0.5, self.freedom(self.num_seeds))

    def p(self, value: float) -> float:
        """Return the two-sided p of a mean difference; 1 for none at all."""
        return _p_of(value, self.of_mean(self.num_seeds) ** 0.5, self.freedom(self.num_seeds))

    def more_seeds(self, value: float) -> int | None:
        """Return how many more seeds would show a difference of this size with a probability of `POWER`."""
        from scipy.stats import t as student

        def shows(count: int) -> bool:
            free = self.freedom(count)
            reach = float(student.ppf((1 + COVERED) / 2, free) + student.ppf(POWER, free))
            return bool(reach * self.of_mean(count) ** 0.5 <= abs(value))

        counts = range(self.num_seeds + 1, MOST_SEEDS + 1)
        place = bisect_left(counts, True, key=shows)
        return None if place == len(counts) else counts[place] - self.num_seeds


def _p_of(value: float, error: float, freedom: float) -> float:
    """Return the two-sided p of a value with a standard error; NaN if that is NaN."""
    from scipy.stats import t as student

    if not error:
        return 1.0 if value == 0 else 0.0
    return float(2 * student.sf(abs(value) / error, freedom))


def _student_bounds(value: float, error: float, freedom: float) -> Bounds:
    from scipy.stats import t as student

    half = float(student.ppf((1 + COVERED) / 2, freedom)) * error
    return value - half, value + half


def discordant(scores: Scores, score: str, first: Array, second: Array) -> tuple[int, int]:
    """Return how many images (N, ...) only the first, and only the second model gets right."""
    before, after = (
        np.array([scores(row[None])[score] for row in evidence]) > 0.5 for evidence in (first, second)
    )
    return int((before & ~after).sum()), int((after & ~before).sum())


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p of McNemar's exact test."""
    from scipy.stats import binomtest

    count = only_first + only_second
    return float(binomtest(only_first, count, 0.5).pvalue) if count else 1.0


def agresti_min_bounds(only_first: int, only_second: int, count: int) -> Bounds:
    """Return the 95 % interval of the second share minus the first one, of the same images.

    Half an image is added to each cell of the table of both.
    """
    from scipy.special import ndtri

    b, c, n = only_first + 0.5, only_second + 0.5, count + 2
    middle = (c - b) / n
    half = float(ndtri((1 + COVERED) / 2)) * ((b + c) - (c - b) ** 2 / n) ** 0.5 / n
    return max(-1.0, middle - half), min(1.0, middle + half)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for being several, in their order; NaN stays, and does not count."""
    known = sorted((p, place) for place, p in enumerate(values) if not np.isnan(p))
    corrected, least = list(values), 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        corrected[place] = least
    return corrected


def _variance(draws: Array, found: Array, num_units: float) -> Variance:
    """Split the variance of a mean difference.

    Args:
        draws: (draws, S) of resampled units.
        found: (S,).
    """
    draws = draws[np.isfinite(draws).all(axis=1)]
    stretch = num_units / (num_units - 1)  # a bootstrap's variance is too small by this
    num_seeds = len(found)
    of_mean = stretch * float(draws.mean(axis=1).var())
    if num_seeds == 1:
        return Variance(of_mean, 0.0, 0.0, 1, num_units)
    of_one = stretch * float(draws.var(axis=0).mean())
    both = min(max(0.0, (of_one - of_mean) * num_seeds / (num_seeds - 1)), num_seeds * of_mean)
    seeds = max(0.0, float(found.var(ddof=1)) - both)
    return Variance(of_mean - both / num_seeds, both, seeds, num_seeds, num_units)
