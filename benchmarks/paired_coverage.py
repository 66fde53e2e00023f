"""How often 95 % intervals of `python -m pipeline.compare` cover the true difference: simulated pairs of methods.

    python -m benchmarks.paired_coverage [<repetitions>]

prints the table of docs/comparing.md. An image is right if its ease, plus the luck of the training, plus the luck of
both together, is above a threshold; the second method is better by a shift. A score is accuracy or, as one that is no
share, the mean of a smooth function of the same numbers. The true difference is the mean over all images and trainings,
or over all images for two trained models. Both scores are means, so all resamples are computed at once.
Shapes: S seeds, N images; evidence (S, N, 1).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from pipeline.tasks.intervals import RESAMPLES
from pipeline.tasks.paired import agresti_min_bounds, combine

Array = NDArray[np.float64]

REPETITIONS = 300
COUNTS = (100, 360)  # images
SEEDS = (1, 3, 5)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


@dataclass(frozen=True)
class World:
    """What varies, as standard deviations beside that of 1 between images.

    Args:
        training: between trainings of one method, for all images alike.
        both: between trainings, for each image on its own.
        shift: of the second method.
        start: of both methods.
    """

    training: float
    both: float
    shift: float
    start: float = 1.5


WORLDS = {
    "calm": World(0.05, 0.3, 0.15),
    "images and trainings": World(0.2, 0.5, 0.3),
    "wild trainings": World(0.5, 0.3, 0.3),
    "no difference": World(0.2, 0.5, 0.0),
}


def main() -> None:
    """Print how often intervals cover, for each world, number of images and of seeds."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS
    sys.stdout.write("| trainings differ | images | seeds | accuracy | smooth score |\n")
    sys.stdout.write("| --- | ---: | ---: | ---: | ---: |\n")
    for name, world in WORLDS.items():
        for count in COUNTS:
            for seeds in SEEDS:
                cells = [f"{cover(world, count, seeds, kind, repetitions):.3f}" for kind in (True, False)]
                sys.stdout.write(f"| {name} | {count} | {seeds} | {' | '.join(cells)} |\n")
                sys.stdout.flush()


def cover(world: World, count: int, seeds: int, is_share: bool, repetitions: int) -> float:
    """Return the share of intervals that hold the true difference."""
    random, hits = np.random.default_rng([count, seeds, is_share]), 0
    for _ in range(repetitions):
        ease = random.standard_normal(count)
        pair, truths = [], []
        for shift in (0.0, world.shift):
            luck = world.training * random.standard_normal(seeds)
            noise = world.both * random.standard_normal((seeds, count))
            pair.append(_score(world.start + shift + luck[:, None] + ease + noise, is_share))
            trainings = luck if seeds == 1 else world.training * NODES
            weights = np.ones(1) if seeds == 1 else WEIGHTS / WEIGHTS.sum()
            truths.append(float(_mean(world.start + shift + trainings, world, is_share) @ weights))
        low, high = _bounds(pair[1] - pair[0], random, is_share=is_share)
        hits += low <= truths[1] - truths[0] <= high
    return hits / repetitions


def _bounds(differences: Array, random: np.random.Generator, *, is_share: bool) -> tuple[float, float]:
    """Return what `paired_difference` does for the differences (S, N) of images."""
    num_seeds, count = differences.shape
    if is_share and num_seeds == 1:
        return agresti_min_bounds(int((differences < 0).sum()), int((differences > 0).sum()), count)
    found = differences.mean(axis=1)
    drawn = random.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count
    left_out = (found[:, None] * count - differences) / (count - 1)
    return combine(found, drawn @ differences.T, left_out.T, num_units=float(count)).total


def _score(values: Array, is_share: bool) -> Array:
    return (values > 0).astype(np.float64) if is_share else expit(2 * values)


def _mean(starts: Array, world: World, is_share: bool) -> Array:
    """Return the mean score over images for each start."""
    spread = (1 + world.both**2) ** 0.5
    if is_share:
        return np.asarray(ndtr(starts / spread))
    return np.asarray(expit(2 * (starts[:, None] + spread * NODES)) @ (WEIGHTS / WEIGHTS.sum()))


if __name__ == "__main__":
    main()
