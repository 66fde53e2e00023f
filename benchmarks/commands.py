"""Commands: how long a user waits for each, and how soon a training reaches a score, from the command on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path

from benchmarks.figures import Figure, by_turns
from benchmarks.workloads import DATA, REPOSITORY, WORKLOADS

# Epochs of plain Lightning, and how many times sooner ours is to be at the best score of them.
SCORED = {"W1": (10, 2.5), "W3": (8, 3.0)}
PATIENCE = 3  # times as many epochs, in which ours may reach the score
TRAININGS = 2  # rounds of A and B
ROUNDS = 3  # of short commands
SAID = 2000  # last characters of what a failed command said
PYTHON = "python -c pass, seconds"
LINE = re.compile(r"epoch \d+/\d+ .* val/(?:accuracy|dice|score) ([\d.]+)")

Told = list[tuple[float, float]]  # of each epoch, seconds since the command and the score


def measured() -> Iterator[Figure]:
    """Measure in projects of their own, which are removed, and what DVC does in this repository."""
    yield from _short_commands()
    yield from _dvc()
    for key in SCORED:
        yield from _time_to_score(key)


def _short_commands() -> Iterator[Figure]:
    """Yield what commands take that train nothing, beside the start of Python."""
    run = ["experiment=digits_lenet5", f"data.root={DATA / 'digits.zip'}", "trainer.max_epochs=1"]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        works: dict[str, Callable[[], object]] = {
            PYTHON: partial(_call, ["-c", "pass"], project),
            "compose experiment=digits_lenet5, seconds": partial(
                _call, ["-m", "pipeline.compose", "composed.yaml", "experiment=digits_lenet5"], project
            ),
            "summary experiment=brain_unet, seconds": partial(
                _call, ["-m", "pipeline.summary", "experiment=brain_unet"], project
            ),
            "train, of a run that is finished, seconds": partial(
                _call, ["-m", "pipeline.train", *run], project
            ),
        }
        limits = {name: 0.5 for name in works if name.startswith(("compose", "train"))}
        yield from _waits(works, limits)


def _dvc() -> Iterator[Figure]:
    """Yield what `dvc repro` takes with nothing to do; nothing where there is something to do."""
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--quiet"], cwd=REPOSITORY, env=_environment(), check=False
    )
    if status.returncode:
        sys.stderr.write(
            "dvc repro with nothing to do is not measured: something is to do; run `make repro` first\n"
        )
        return
    repro = "dvc repro with nothing to do, seconds"
    works: dict[str, Callable[[], object]] = {
        "dvc --version, seconds": partial(_call, ["-m", "dvc", "--version"], REPOSITORY),
        repro: partial(_call, ["-m", "dvc", "repro"], REPOSITORY),
    }
    yield from _waits(works, {repro: 1.0})


def _waits(works: Mapping[str, Callable[[], object]], limits: Mapping[str, float]) -> list[Figure]:
    """Return how long each work takes, run by turns, after each has run once."""
    found = by_turns(works, rounds=ROUNDS)
    return [Figure.over(name, each, goal=limits.get(name), is_limit=True) for name, each in found.items()]


def _time_to_score(key: str) -> Iterator[Figure]:
    """Yield how much sooner ours reaches the best score of plain Lightning, each in a fresh project."""
    epochs, goal = SCORED[key]
    theirs, mine = _Races(), _Races()
    for seed in range(TRAININGS):
        with tempfile.TemporaryDirectory() as folder:
            lightning = ["benchmarks.contenders", key, str(epochs), f"seed={seed}"]
            told = _told(lightning, Path(folder), enough=None)
        best = max(score for _, score in told)
        theirs.add(told, best)
        with tempfile.TemporaryDirectory() as folder:
            # The schedule is that of plain Lightning's epochs; what comes after is only for want of luck.
            length = [f"trainer.max_epochs={PATIENCE * epochs}", f"scheduler.T_max={epochs}", f"seed={seed}"]
            training = ["pipeline.train", *WORKLOADS[key].overrides(Path(folder)), *length]
            mine.add(_told(training, Path(folder), enough=best), best)
    name = WORKLOADS[key].name
    sooner = [long / short for long, short in zip(theirs.reached, mine.reached, strict=True)]
    best_of = f"the best score of {epochs} epochs of plain Lightning"
    yield Figure.over(f"{name}: {best_of}, times sooner (0: never)", sooner, goal=goal)
    for who, races in (("ours", mine), ("lightning", theirs)):
        if isfinite(max(races.reached)):
            yield Figure.over(f"{name}: {who}, seconds from command to that score", races.reached)
        yield Figure.over(f"{name}: {who}, seconds from command to first step", races.started)


class _Races:
    """Trainings of one contender.

    `started` holds seconds to the first epoch's start, taken to be as long before its end as the second epoch is;
    `reached` seconds to a score, infinite where it was not reached.
    """

    def __init__(self) -> None:
        self.started: list[float] = []
        self.reached: list[float] = []

    def add(self, told: Told, wanted: float) -> None:
        """Add a training by what it told of its epochs."""
        first, second = told[0][0], told[1][0]
        self.started.append(first - (second - first))
        self.reached.append(next((moment for moment, score in told if score >= wanted), float("inf")))


def _told(command: Sequence[str], project: Path, *, enough: float | None) -> Told:
    """Run a training until it ends, or has told two epochs and reached a score; return what it told of its epochs.

    Raises:
        RuntimeError: it failed.
    """
    start, told, said = time.perf_counter(), [], []
    arguments = [sys.executable, "-m", *command]
    process = subprocess.Popen(
        arguments,
        cwd=project,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            found = LINE.search(line)
            if found is None:
                continue
            told.append((time.perf_counter() - start, float(found[1])))
            if enough is not None and len(told) > 1 and max(score for _, score in told) >= enough:
                process.kill()
                return told
    if process.returncode or len(told) < 2:
        raise RuntimeError(f"python -m {' '.join(command)} failed:\n{''.join(said)[-SAID:]}")
    return told


def _call(arguments: Sequence[str], folder: Path) -> None:
    """Run this Python; tell what it said only where it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{done.stderr[-SAID:]}")


def _environment() -> dict[str, str]:
    """Return the environment of a command, which finds this repository's code from any folder."""
    told = {"MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "true"}
    return {**os.environ, **told, "PYTHONPATH": str(REPOSITORY)}
