"""How often 95 % intervals cover the true score: simulated test splits, whose true scores are known.

    python -m benchmarks.coverage [<part>] [<repetitions>]

prints the tables of docs/scores.md; parts are shares, classification and segmentation. Intervals are computed by
`pipeline.tasks.intervals`, but the scores of all resamples at once: every score here is a function of how often each
image was drawn, which makes hours of simulation minutes. They are compared with those of the tasks.
Shapes: B resamples, N images; weights (B, N) say how often each image was drawn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from pipeline.tasks.classification.task import CALIBRATION_BINS, Classification
from pipeline.tasks.intervals import (
    MOST_LEFT_OUT,
    RESAMPLES,
    bca_bounds,
    clustered_bounds,
    expanded_tail,
    wilson_bounds,
)
from pipeline.tasks.segmentation.task import Segmentation

Array = NDArray[np.float64]
Weighted = Callable[[Array], dict[str, Array]]  # weights (B, N) -> score -> (B,)

REPETITIONS = 1000
COUNTS = (24, 50, 100, 360, 1000)
NUM_GROUPS = (10, 13, 20, 50)
TRUTH_IMAGES = 400_000
LIKENESS = 0.5  # standard deviation of the shift of a group, where that of an image in it is 1


@dataclass(frozen=True)
class Simulation:
    """A task whose test splits are simulated.

    Args:
        draw: random numbers, images of a group, groups -> evidence (N, ...).
        weigh: evidence -> function of weights.
        scores: those of the task, to compare with.
        size: images of a group.
    """

    draw: Callable[[np.random.Generator, int, int], Array]
    weigh: Callable[[Array], Weighted]
    scores: Callable[[Array], dict[str, float]]
    size: int


def main() -> None:
    """Print the tables."""
    parts: dict[str, Callable[[int], Iterator[str]]] = {
        "shares": _shares,
        "classification": lambda repetitions: _table(CLASSIFICATION, repetitions),
        "segmentation": lambda repetitions: _table(SEGMENTATION, repetitions),
    }
    numbers = [int(text) for text in sys.argv[1:] if text.isdigit()]
    repetitions = numbers[0] if numbers else REPETITIONS
    for part in [part for part in parts if part in sys.argv[1:]] or list(parts):
        start = time.perf_counter()
        for line in parts[part](repetitions):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        sys.stdout.write(f"\n{part}: {time.perf_counter() - start:.0f} s, {repetitions} repetitions\n\n")


def _shares(repetitions: int) -> Iterator[str]:
    """Yield the exact coverage of independent images, and the simulated one of images in groups."""
    truths = (0.7, 0.9, 0.965, 0.99)
    yield from _header("images", *(f"true share {truth}" for truth in truths))
    for count in COUNTS:
        yield _row(count, *(f"{_exact(truth, count):.3f}" for truth in truths))
    yield ""
    yield from _header("groups", "likeness (ICC)", *(f"true share {truth}" for truth in truths))
    for num_groups in NUM_GROUPS:
        for likeness in (0.0, 0.05, 0.2):
            cells = [
                "/".join(
                    f"{_cover_share(truth, likeness, size, num_groups, repetitions):.3f}" for size in (10, 30)
                )
                for truth in truths
            ]
            yield _row(num_groups, likeness, *cells)


def _exact(truth: float, count: int) -> float:
    """Return the probability that Wilson's interval covers a share, summed over all counts of hits."""
    hits = np.arange(count + 1)
    bounds = np.array([wilson_bounds(each / count, count) for each in hits])
    covers = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
    return float(binom.pmf(hits, count, truth)[covers].sum())


def _cover_share(truth: float, likeness: float, size: int, num_groups: int, repetitions: int) -> float:
    """Return the coverage of a share whose chance differs between groups (beta-binomial hits)."""
    random, covered = np.random.default_rng([size, num_groups]), 0
    for _ in range(repetitions):
        chances = np.full(num_groups, truth)
        if likeness:
            strength = 1 / likeness - 1
            chances = random.beta(truth * strength, (1 - truth) * strength, num_groups)
        hits = random.binomial(size, chances)
        low, high = clustered_bounds(hits / size, np.full(num_groups, float(size)))
        covered += low <= truth <= high
    return covered / repetitions


def _table(simulation: Simulation, repetitions: int) -> Iterator[str]:
    """Yield a row for each number of images, then of groups."""
    size = simulation.size
    alone, grouped = (_truth(simulation, each) for each in (1, size))
    yield from _header("test split", *(f"{name}, {value:.3f}" for name, value in alone.items()))
    for count in COUNTS:
        found = _cover(simulation, alone, 1, count, repetitions)
        yield _row(f"{count} images", *(f"{value:.3f}" for value in found))
    for count in NUM_GROUPS:
        found = _cover(simulation, grouped, size, count, repetitions)
        yield _row(f"{count} groups of {size}", *(f"{value:.3f}" for value in found))


def _truth(simulation: Simulation, size: int) -> dict[str, float]:
    """Return the scores of a test split so large that they are the true ones, which are those of the task as well."""
    evidence = simulation.draw(np.random.default_rng(0), size, TRUTH_IMAGES // size)
    values = {
        name: float(each[0]) for name, each in simulation.weigh(evidence)(np.ones((1, len(evidence)))).items()
    }
    own = simulation.scores(evidence)
    np.testing.assert_allclose(list(values.values()), [own[name] for name in values], rtol=1e-6)
    return values


def _cover(
    simulation: Simulation, truth: dict[str, float], size: int, num_units: int, repetitions: int
) -> Array:
    """Return how often the interval of each score covers its true value; one without bounds does not."""
    covered = np.zeros(len(truth))
    blocks = np.eye(min(num_units, MOST_LEFT_OUT))[np.arange(num_units) % MOST_LEFT_OUT].T
    for repetition in range(repetitions):
        random = np.random.default_rng([repetition, size, num_units])
        weigh = simulation.weigh(simulation.draw(random, size, num_units))
        drawn = random.multinomial(num_units, np.full(num_units, 1 / num_units), RESAMPLES)
        value, draws, left_out = (
            weigh(np.repeat(units, size, axis=1).astype(np.float64))
            for units in (np.ones((1, num_units)), drawn, 1 - blocks)
        )
        for place, (name, true) in enumerate(truth.items()):
            tail = expanded_tail(num_units)
            low, high = bca_bounds(float(value[name][0]), draws[name], left_out[name], tail=tail)
            covered[place] += low <= true <= high
    return covered / repetitions


def _draw_logits(random: np.random.Generator, size: int, num_groups: int) -> Array:
    """Draw evidence of three classes, the last of which is a tenth of the images."""
    count = size * num_groups
    labels = random.choice(3, count, p=[0.5, 0.4, 0.1])
    shift = LIKENESS * (size > 1) * random.normal(size=(num_groups, 3))
    logits = random.normal(size=(count, 3)) + np.repeat(shift, size, axis=0) + 2 * np.eye(3)[labels]
    shares = np.exp(1.5 * logits)
    return np.column_stack((shares / shares.sum(axis=1, keepdims=True), labels))


def _weigh_logits(evidence: Array) -> Weighted:
    probabilities, labels = evidence[:, :-1], evidence[:, -1].astype(int)
    guesses, trust = probabilities.argmax(axis=1), probabilities.max(axis=1)
    cells = np.eye(9)[3 * labels + guesses]
    bins = np.eye(CALIBRATION_BINS)[np.ceil(trust * CALIBRATION_BINS).astype(int) - 1]
    gaps = bins * ((guesses == labels) - trust)[:, None]
    orders = probabilities.argsort(axis=0)  # probabilities without ties

    def area(weights: Array, label: int) -> Array:
        own = (labels == label)[orders[:, label]]
        ranked = weights[:, orders[:, label]]
        below = np.cumsum(ranked * ~own, axis=1)
        wins = (ranked * own * below).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.asarray(wins / ((ranked * own).sum(axis=1) * below[:, -1]))

    def weigh(weights: Array) -> dict[str, Array]:
        matrix = (weights @ cells).reshape(-1, 3, 3)
        hits, true = np.diagonal(matrix, axis1=1, axis2=2), matrix.sum(axis=2)
        named = true + matrix.sum(axis=1)
        with np.errstate(invalid="ignore"):
            recalls, f1 = hits / true, 2 * hits / named
        return {
            "balanced_accuracy": _mean_of_defined(recalls.T),
            "macro_f1": _mean_of_defined(f1.T),
            "auroc": _mean_of_defined(np.array([area(weights, label) for label in range(3)])),
            "calibration_error": np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1),
        }

    return weigh


def _mean_of_defined(values: Array) -> Array:
    """Return the mean over axis 0 of what is not NaN."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(values, axis=0) / (~np.isnan(values)).sum(axis=0))


def _draw_pixels(random: np.random.Generator, size: int, num_groups: int) -> Array:
    """Draw evidence of a background and one class: objects of many sizes, of which small ones are found worse."""
    count = size * num_groups
    shift = LIKENESS * (size > 1) * random.normal(size=num_groups)
    scale = random.normal(size=count)
    quality = 1 / (1 + np.exp(-(2.0 + 0.5 * scale + np.repeat(shift, size) + random.normal(size=count))))
    true = np.maximum(np.rint(300 * np.exp(0.8 * scale)), 1)
    common = np.rint(quality * true)
    guessed = common + np.rint(true * (1 - quality) * random.random(count))
    return np.column_stack((np.zeros((count, 3)), common, guessed, true))


def _weigh_pixels(evidence: Array) -> Weighted:
    common, total = evidence[:, 3], evidence[:, 4] + evidence[:, 5]
    dice, iou = 2 * common / total, common / (total - common)

    def weigh(weights: Array) -> dict[str, Array]:
        count, hits, pixels = weights.sum(axis=1), weights @ common, weights @ total
        return {
            "dice": weights @ dice / count,
            "iou": weights @ iou / count,
            "pooled_dice": 2 * hits / pixels,
            "pooled_iou": hits / (pixels - hits),
        }

    return weigh


CLASSIFICATION = Simulation(
    _draw_logits,
    _weigh_logits,
    Classification(classes=("a", "b", "c"), label_smoothing=0.0, class_weights="none").scores,
    size=20,
)
SEGMENTATION = Simulation(
    _draw_pixels,
    _weigh_pixels,
    Segmentation(
        classes=("other", "object"),
        background="other",
        ignore_label=None,
        dice_weight=1.0,
        dice_background=True,
        class_weights="none",
    ).scores,
    size=8,
)


def _header(*cells: object) -> tuple[str, str]:
    return _row(*cells), _row(*["---"] * len(cells))


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
