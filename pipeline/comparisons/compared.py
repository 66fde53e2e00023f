"""The comparison of methods with the first one of them, on the test images that all of them have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.comparisons.methods import Method
from pipeline.errors import ConfigError, warn
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.demands import Demands, load_demands
from pipeline.tasks.paired import Difference, holm, paired_difference
from pipeline.tasks.task import Resampled, Task
from pipeline.training.evaluated import evaluated_test

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Methods compared with the first one by one score.

    Args:
        methods: those that were compared.
        seeds: for each method but the first, the seeds that both have.
        score: its name.
        title: its name for people.
        is_better_above: whether a higher score is better.
        values: the mean score of each method, over all its seeds.
        differences: of each method but the first, its score minus that of the first.
        corrected: p of each difference, corrected by Holm's method.
        files: names of the N test images.
        images: (N, H, W, C) uint8.
        image_scores: (M, N), the score of each image alone, as a mean over the seeds of each method; NaN where there is
            none.
        num_groups: of the test images; None if they are independent.
    """

    methods: Sequence[Method]
    seeds: Sequence[Sequence[int]]
    score: str
    title: str
    is_better_above: bool
    values: Sequence[float]
    differences: Sequence[Difference]
    corrected: Sequence[float]
    files: Sequence[str]
    images: NDArray[np.uint8]
    image_scores: Array
    num_groups: int | None


def compare(methods: Sequence[Method], *, root: Path, score: str | None = None) -> Comparison:
    """Compare methods with the first one on their test images.

    Args:
        methods: two or more.
        score: its name; None for the one that selects the epochs of the first method.

    Raises:
        ConfigError: they were not trained and scored on the same data, there is no test split, or no such score.
    """
    chosen, demands = _choose(methods, score)
    first = methods[0].first.declaration
    seeds = [_shared(methods[0], other) for other in methods[1:]]
    evidence, task, test = _score_all(methods, root)
    differences = [
        paired_difference(
            task.scores,
            chosen,
            np.stack([evidence[0][one] for one, _ in pairs]),
            np.stack([evidence[place][two] for _, two in pairs]),
            seed=first.seed,
            is_share=chosen in demands.shares,
            groups=test.groups,
            resampled=task.resampled if isinstance(task, Resampled) else None,
        )
        for place, pairs in enumerate(seeds, 1)
    ]
    return Comparison(
        methods,
        [[two for _, two in pairs] for pairs in seeds],
        chosen,
        demands.scores(first.data)[chosen],
        demands.mode_of(chosen) == "max",
        [float(np.mean([task.scores(each)[chosen] for each in found.values()])) for found in evidence],
        differences,
        holm([each.p for each in differences]),
        test.files,
        test.images,
        np.array([_of_images(task, chosen, found.values()) for found in evidence]),
        None if test.groups is None else len(set(test.groups)),
    )


def _choose(methods: Sequence[Method], score: str | None) -> tuple[str, Demands]:
    """Return the score by which methods are compared, and the demands of their task."""
    first = methods[0].first
    demands = load_demands(first.declaration.task)
    known = demands.scores(first.declaration.data)
    chosen = first.folder.selection(demands.score)["score"] if score is None else score
    if chosen not in known:
        raise ConfigError.unknown("score", chosen, known, what="score")
    for other in methods[1:]:
        task = other.first.declaration.task["_target_"]
        if task != first.declaration.task["_target_"]:
            problem = f"its task is {task}, that of {methods[0].name} is {first.declaration.task['_target_']}"
            raise ConfigError(other.name, problem, hint="compare methods of one task")
    return chosen, demands


def _shared(first: Method, other: Method) -> list[tuple[int, int]]:
    """Return pairs of seeds to compare: those that both methods have, or the only one of each."""
    both = sorted({*first.runs} & {*other.runs})
    if both:
        if left := sorted({*first.runs} ^ {*other.runs}):
            warn(f"{other.name}: only one of the methods was trained with seed {', '.join(map(str, left))}")
        return [(seed, seed) for seed in both]
    if len(first.runs) == len(other.runs) == 1:
        warn(f"{other.name}: another seed than {first.name}, which pairs nothing but the images")
        return [(min(first.runs), min(other.runs))]
    problem = f"its seeds are {_listed(other)}, those of {first.name} {_listed(first)}"
    raise ConfigError(other.name, problem, hint="train both with the same seeds, such as seed=0,1,2 with -m")


def _listed(method: Method) -> str:
    return ", ".join(map(str, sorted(method.runs)))


def _score_all(methods: Sequence[Method], root: Path) -> tuple[list[dict[int, Array]], Task, Evaluated]:
    """Return for each method seed -> evidence; and the task and the test images, which are those of all."""
    task, found, test = methods[0].first.build_task(), [], None
    for method in methods:
        evidence = {}
        for seed, run in sorted(method.runs.items()):
            evaluated = evaluated_test(run, root=root)
            if test is None:
                test = evaluated
            elif list(evaluated.files) != list(test.files):
                problem = f"its test images are not those of {methods[0].name}"
                raise ConfigError(
                    method.name, problem, hint="compare methods that were trained on the same data"
                )
            elif not all(map(np.array_equal, evaluated.targets, test.targets)):
                problem = f"what is true of its test images is not what it is for {methods[0].name}"
                hint = "compare methods with the same classes, and for places the same data.shape and data.resize"
                raise ConfigError(method.name, problem, hint=hint)
            evidence[seed] = evaluated.evidence
        found.append(evidence)
    assert test is not None, "there are methods"
    return found, task, test


def _of_images(task: Task, score: str, evidence: Iterable[Array]) -> Array:
    """Return the score (N,) of each image alone, as a mean over seeds."""
    rows = np.array([[task.scores(row[None])[score] for row in each] for each in evidence])
    return np.asarray(rows.mean(axis=0))
