"""What it costs to watch a training: whole epochs of ours, and of ours that looks at nothing, by turns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.contenders import MANY, ours, unwatched
from benchmarks.figures import Figure
from benchmarks.training import laps_of
from benchmarks.workloads import WORKLOADS, job_of

GOAL = 1.02
KEYS = ("W1", "W2", "W3")  # many small steps in an epoch, few larger ones, and large maps
BUDGET, ROUNDS = 40.0, 15  # the difference is small, so more turns than to compare contenders


def measured() -> Iterator[Figure]:
    """Measure some workloads, each in a project of its own, which is removed."""
    for key in KEYS:
        with tempfile.TemporaryDirectory() as folder:
            job = job_of(
                key,
                Path(folder),
                ["trainer.progress=false", "trainer.threads=null", f"trainer.max_epochs={MANY}"],
            )
            laps = laps_of(job, {"watched": ours, "unwatched": unwatched}, most=ROUNDS, budget=BUDGET)
        rounds = [
            (one.whole / one.images) / (other.whole / other.images)
            for one, other in zip(laps["watched"], laps["unwatched"], strict=True)
        ]
        name = f"{WORKLOADS[key].name}: seconds of an epoch, watched / not watched"
        yield Figure.over(name, rounds, goal=GOAL, is_limit=True)
