"""Training: images per second and whole epochs of four contenders on four workloads, by turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.contenders import CONTENDERS, MANY
from benchmarks.figures import Figure
from benchmarks.turns import Contender, Lane, Lap
from benchmarks.workloads import WORKLOADS, Job, job_of

GOALS = {  # of ours over another contender, images/s
    "W1": {"lightning": 2.2, "loop": 1.4, "bound": 0.70},
    "W2": {"lightning": 1.5, "loop": 1.4, "bound": 0.92},
    "W3": {"lightning": 2.5, "loop": 1.4, "bound": 0.90},
    "W4": {"lightning": 2.2, "loop": 1.4, "bound": 0.88},
}
BUDGET = 15.0  # seconds of a workload's rounds
FEWEST, MOST = 3, 9  # rounds, after one that warms up


def measured() -> Iterator[Figure]:
    """Measure each workload in a project of its own, which is removed."""
    for key, workload in WORKLOADS.items():
        with tempfile.TemporaryDirectory() as folder:
            job = job_of(
                key,
                Path(folder),
                ["trainer.progress=false", "trainer.threads=null", f"trainer.max_epochs={MANY}"],
            )
            yield from _figures(workload.name, laps_of(job, CONTENDERS), GOALS[key])


def laps_of(
    job: Job,
    contenders: Mapping[str, Callable[[Job, Contender], None]],
    *,
    most: int = MOST,
    budget: float = BUDGET,
) -> dict[str, list[Lap]]:
    """Return the epochs of each contender, round by round; those that warm up are left out.

    Args:
        most: rounds.
        budget: seconds, of which no round is begun that may exceed them, once there are a few.
    """
    lanes: list[Lane] = []
    try:
        for name, work in contenders.items():
            lanes.append(Lane(name, partial(work, job)))
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.go()
        start = time.perf_counter()
        for done in range(most):
            spent = time.perf_counter() - start
            with_another = spent * (done + 2) / max(done, 1)
            is_last = done + 1 == most or (done + 1 >= FEWEST and with_another > budget)
            for lane in lanes:
                lane.go(is_last=is_last)
            if is_last:
                break
    finally:
        for lane in lanes:
            lane.end()
    return {lane.name: lane.laps[1:] for lane in lanes}


def _figures(name: str, laps: dict[str, list[Lap]], goals: dict[str, float]) -> Iterator[Figure]:
    """Yield ratios of the same round, and rates."""
    rates = {who: [lap.images / lap.training for lap in each] for who, each in laps.items()}
    for other, goal in goals.items():
        yield Figure.over(
            f"{name}: ours / {other}, images/s", _ratios(rates["ours"], rates[other]), goal=goal
        )
    whole = {who: [lap.images / lap.whole for lap in laps[who]] for who in ("ours", "lightning")}
    yield Figure.over(f"{name}: ours / lightning, whole epochs/s", _ratios(whole["ours"], whole["lightning"]))
    for who, each in rates.items():
        yield Figure.over(f"{name}: {who}, images/s", each)
    shares = [lap.augmenting / lap.training for lap in laps["ours"]]
    yield Figure.over(f"{name}: ours, share of training that augmentation takes", shares)


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]
