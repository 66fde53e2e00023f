"""95 % confidence intervals of scores: over the units of a test split, and over repeated trainings.

Units are the groups that `data.groups` declares (writers, patients), as images of one group resemble each other, or
else the images. Intervals hold for fixed weights: they cover the choice of test units, not the luck of the seed.

Shares (means of 0 or 1 for each image) have Wilson's interval (1927, JASA 22: 209). With groups, the number of images
is replaced by the effective one, and the normal quantile by Student's (Korn and Graubard 1998, Survey Methodology 24:
193, who do so for another interval), both from the jackknife over groups.
All other scores have the BCa bootstrap (Efron 1987, JASA 82: 171) over units, with the expanded tails of Hesterberg
(2015, The American Statistician 69: 371, section 5.3), which Student's interval has and a bootstrap lacks.
docs/scores.md holds the simulated coverage of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pipeline.tasks.task import Evidence

Interval = dict[str, float]  # value, low, high
GroupScores = tuple[int, dict[str, float]]  # number of images, score -> value
Scores = Callable[["Evidence"], dict[str, float]]
Draw = Callable[[NDArray[np.intp]], dict[str, float]]  # indices of images -> their scores
Resampling = Callable[["Evidence"], Draw]
Drawn = TypeVar("Drawn")
Bounds = tuple[float, float]
Array = NDArray[np.float64]

RESAMPLES = 2000
COVERED = 0.95
MOST_NUMBERS = 2_000_000  # of evidence that are resampled: 2,000 images of 1,000 classes take minutes
FEWEST_UNITS = 10  # fewer say too little about how units differ
MOST_LEFT_OUT = 200  # evaluations of the jackknife: larger splits leave out blocks of units
NONE = (float("nan"), float("nan"))


def with_intervals(
    scores: Scores,
    evidence: Evidence,
    *,
    seed: int,
    shares: Sequence[str] = (),
    biased: Sequence[str] = (),
    groups: Sequence[str] | None = None,
    resampled: Resampling | None = None,
) -> dict[str, Interval]:
    """Return each score with the bounds of its 95 % interval.

    Args:
        scores: maps evidence (N, ...) to scores by name.
        seed: the same seed and evidence always give the same bounds.
        shares: names of the scores that are means of 0 or 1 for each image.
        biased: names of the scores that have no interval.
        groups: the group of each image; None if images are independent.
        resampled: maps evidence to a quicker way to the scores of some of its images, see
            `pipeline.tasks.task.Resampled`; None if there is none.

    Returns:
        Score -> {value, low, high}. Bounds are NaN where there is no interval: for a score that is biased or NaN; for
        one that is no share and the same in all resamples; with fewer than `FEWEST_UNITS` units, except for shares of
        independent images; and, for scores that are no shares, with evidence of more than `MOST_NUMBERS`.
    """
    members = members_of(len(evidence), groups)
    is_grouped = len(members) < len(evidence)
    values = scores(evidence)
    wilson = [name for name in values if name in shares]
    others = [name for name in values if name not in shares and name not in biased]
    bounds = dict.fromkeys(values, NONE)
    if not is_grouped:
        bounds |= {name: wilson_bounds(values[name], len(evidence)) for name in wilson}
    if len(members) >= FEWEST_UNITS:
        if is_grouped and wilson:
            parts = [scores(evidence[chosen]) for chosen in members]
            sizes = np.array([len(chosen) for chosen in members], np.float64)
            for name in wilson:
                bounds[name] = clustered_bounds(np.array([part[name] for part in parts]), sizes)
        if others and evidence.size <= MOST_NUMBERS:
            draw = draw_from(scores, evidence, resampled)
            bounds |= _bootstrapped(draw, values, members, others, np.random.default_rng(seed))
    return {
        name: {"value": value, "low": bounds[name][0], "high": bounds[name][1]}
        for name, value in values.items()
    }


def scores_of_groups(scores: Scores, evidence: Evidence, groups: Sequence[str]) -> dict[str, GroupScores]:
    """Return group -> number of its images, and their scores; empty for no groups."""
    if not groups:
        return {}
    names = sorted(set(groups))
    members = members_of(len(evidence), groups)
    return {
        name: (len(chosen), scores(evidence[chosen])) for name, chosen in zip(names, members, strict=True)
    }


def wilson_bounds(share: float, count: float, quantile: float | None = None) -> Bounds:
    """Return Wilson's interval of a share.

    Args:
        share: the observed share; NaN has no interval.
        count: number of independent observations; may be effective, and so no whole number.
        quantile: how many standard errors it spans on either side; None for the normal quantile.
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + COVERED) / 2)) if quantile is None else quantile
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    low = 0.0 if share == 0 else centre - half  # exact, where rounding is not
    high = 1.0 if share == 1 else centre + half
    return low, high


def clustered_bounds(shares: Array, sizes: Array) -> Bounds:
    """Return Wilson's interval of the share over all images, whose groups are drawn as wholes.

    The effective count is that of independent images whose share would vary as much. Groups that all have the share 0
    or 1 do not show how much they vary; each then counts as one image.

    Args:
        shares: (G,) of each group.
        sizes: (G,) images of each group.
    """
    from scipy.stats import t as student

    count = sizes.sum()
    share = float(shares @ sizes / count)
    num_effective = count**2 / (sizes @ sizes)  # Kish: groups of equal size that would say as much
    changes = sizes * (shares - share) / (count - sizes)  # of the share, where a group is left out
    variance = float((len(sizes) - 1) / len(sizes) * (changes @ changes))
    if share in (0, 1):
        effective = num_effective
    elif variance == 0:
        effective = count
    else:
        effective = share * (1 - share) / variance
    return wilson_bounds(share, effective, float(student.ppf((1 + COVERED) / 2, num_effective - 1)))


def bca_bounds(value: float, draws: Array, left_out: Array, *, tail: float) -> Bounds:
    """Return the bias-corrected and accelerated bootstrap interval.

    Args:
        value: the score; NaN has no interval.
        draws: its values in resamples; NaN is left out. There is no interval if all are equal.
        left_out: its values where a unit, or a block of as many units, is left out.
        tail: probability beyond each bound.
    """
    from scipy.special import ndtr, ndtri

    draws, left_out = draws[~np.isnan(draws)], left_out[~np.isnan(left_out)]
    if np.isnan(value) or not draws.size or np.ptp(draws) <= 1e-12 * max(1.0, abs(value)):
        return NONE
    below = float(np.mean((draws < value) + 0.5 * (draws == value)))
    bias = ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    pulls = left_out.mean() - left_out if left_out.size else np.zeros(1)
    spread = float((pulls @ pulls) ** 1.5)
    acceleration = float((pulls**3).sum()) / (6 * spread) if spread else 0.0
    shifted = bias + np.array([ndtri(tail), -ndtri(tail)])
    stretch = np.maximum(1 - acceleration * shifted, 1e-9)  # below 0, the formula would turn back
    low, high = np.quantile(draws, ndtr(bias + shifted / stretch))
    return float(low), float(high)


def expanded_tail(num_units: float) -> float:
    """Return the tail whose normal quantile is as many standard errors of a bootstrap as Student's interval has."""
    from scipy.special import ndtr
    from scipy.stats import t as student

    quantile = student.ppf((1 + COVERED) / 2, num_units - 1)
    return float(ndtr(-quantile * (num_units / (num_units - 1)) ** 0.5))


def _bootstrapped(
    draw: Draw,
    values: Mapping[str, float],
    members: Sequence[NDArray[np.intp]],
    names: Sequence[str],
    random: np.random.Generator,
) -> Mapping[str, Bounds]:
    """Return the BCa bounds of some scores; units are the images of `members`.

    Args:
        draw: maps indices of images to their scores.
        values: the scores of all images.
    """
    draws, left_out = resample(draw, members, random)
    tail = expanded_tail(effective_units(members))
    return {
        name: bca_bounds(
            values[name],
            np.array([each[name] for each in draws]),
            np.array([each[name] for each in left_out]),
            tail=tail,
        )
        for name in names
    }


def draw_from(scores: Scores, evidence: Evidence, resampled: Resampling | None) -> Draw:
    """Return what maps indices of images to their scores, the quicker way if there is one."""
    return (lambda chosen: scores(evidence[chosen])) if resampled is None else resampled(evidence)


def resample(
    draw: Callable[[NDArray[np.intp]], Drawn],
    members: Sequence[NDArray[np.intp]],
    random: np.random.Generator,
) -> tuple[list[Drawn], list[Drawn]]:
    """Return what resamples of units give, and what is left where a unit, or a block of as many units, is left out.

    Args:
        draw: maps indices of images, which may repeat, to what is known of them.
        members: the images of each unit.
    """
    count, order = len(members), np.concatenate(members)
    is_single = count == len(order)

    def images(units: NDArray[np.intp]) -> NDArray[np.intp]:
        return order[units] if is_single else np.concatenate([members[unit] for unit in units])

    draws = [draw(images(random.integers(0, count, count))) for _ in range(RESAMPLES)]
    blocks = np.array_split(random.permutation(count), min(count, MOST_LEFT_OUT))
    return draws, [draw(np.delete(np.arange(len(order)), images(block))) for block in blocks]


def effective_units(members: Sequence[NDArray[np.intp]]) -> float:
    """Return how many units of equal size would say as much (Kish)."""
    sizes = np.array([len(chosen) for chosen in members], np.float64)
    return float(sizes.sum() ** 2 / (sizes @ sizes))


def members_of(num_images: int, groups: Sequence[str] | None) -> list[NDArray[np.intp]]:
    """Return the indices of the images of each unit, in the order of their names."""
    if groups is None:
        return list(np.arange(num_images)[:, None])
    _, places = np.unique(np.array(groups), return_inverse=True)
    return np.split(np.argsort(places, kind="stable"), np.bincount(places).cumsum()[:-1])


def mean_interval(values: Sequence[float], *, bounds: Bounds | None = None) -> tuple[float, float, float]:
    """Return mean and bounds of Student's 95 % interval of the mean; NaN bounds for a single value.

    Args:
        values: of repeated trainings.
        bounds: least and greatest possible value, which the interval does not cross: it is taken on the scale of the
            logit of the mean, whose standard error follows by the delta method. So single values may equal a bound; if
            all of them do, or are equal otherwise, the interval has no width. None for the plain interval.
    """
    from scipy.special import expit, logit
    from scipy.stats import t as student

    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, float("nan"), float("nan")
    half = float(student.ppf((1 + COVERED) / 2, count - 1) * np.std(values, ddof=1) / count**0.5)
    if bounds is None or not half:
        return mean, mean - half, mean + half
    least, span = bounds[0], bounds[1] - bounds[0]
    place = (mean - least) / span
    half /= span * place * (1 - place)
    low, high = expit(logit(place) - half), expit(logit(place) + half)
    return mean, float(least + span * low), float(least + span * high)
