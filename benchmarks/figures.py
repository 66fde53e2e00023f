"""Figures of a benchmark: ratios of interleaved timings, and rates; written as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

PACKAGES = ("torch", "pytorch-lightning", "albumentations", "opencv-python-headless", "numpy")
ROUNDS = 9  # of A and B by turns


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        name: what it is, with its unit where it has one.
        value: median over the rounds.
        spread: lowest and highest round.
        goal: what it should reach; None where it is only told.
        is_limit: whether the goal is to be kept to, rather than to be reached.
    """

    name: str
    value: float
    spread: tuple[float, float]
    goal: float | None = None
    is_limit: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.is_limit else self.value >= self.goal

    @classmethod
    def over(
        cls, name: str, rounds: Sequence[float], *, goal: float | None = None, is_limit: bool = False
    ) -> Figure:
        """Return the figure of a number that each round has given once."""
        return cls(name, median(rounds), (min(rounds), max(rounds)), goal, is_limit)


def seconds(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def by_turns(works: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Return how long each work takes in each round, run by turns: A B A B; each has run once before."""
    for work in works.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(seconds(work))
    return found


def times_faster(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], *, goal: float
) -> Figure:
    """Return how many times faster ours is than theirs, run by turns: A B A B."""
    ours(), theirs()  # what is done once, such as filling caches, is not measured
    ratios = []
    for _ in range(ROUNDS):
        mine = seconds(ours)
        ratios.append(seconds(theirs) / mine)
    return Figure.over(name, ratios, goal=goal)


def rates(works: dict[str, tuple[int, Callable[[], object]]]) -> list[Figure]:
    """Return things per second of several works, run by turns.

    Args:
        works: name -> how many things one call does, and the call.
    """
    measured = by_turns({name: work for name, (_, work) in works.items()}, rounds=ROUNDS)
    return [
        Figure.over(name, [count / each for each in measured[name]]) for name, (count, _) in works.items()
    ]


def write(figures: Sequence[Figure], folder: Path) -> None:
    """Write `results.json` and `results.md`."""
    results = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "date": date.today().isoformat(),
        "figures": [asdict(figure) | {"met": figure.met} for figure in figures],
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# Benchmarks",
        "",
        f"Measured {results['date']} by `make bench` on {results['machine']}. Median over {ROUNDS} rounds, "
        "of trainings and commands fewer (lowest to highest); whatever is compared ran by turns.",
        "",
        "| figure | value | spread | goal | met |",
        "|---|---|---|---|---|",
        *(_row(figure) for figure in figures),
    ]
    (folder / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(figure: Figure) -> str:
    low, high = figure.spread
    goal = "" if figure.goal is None else f"at {'most' if figure.is_limit else 'least'} {figure.goal:g}"
    met = {None: "", True: "yes", False: "no"}[figure.met]
    return f"| {figure.name} | {_text(figure.value)} | {_text(low)} to {_text(high)} | {goal} | {met} |"


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
