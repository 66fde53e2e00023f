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
from pathlib import Path

from benchmarks.figures import Figure, by_turns
from benchmarks.reproduced import make_reproduced
from benchmarks.workloads import DATA, REPOSITORY, WORKLOADS

# A score that either reaches well before its last epoch, and how many times sooner ours is to be there.
SCORED = {"W1": (0.95, 2.5), "W3": (0.85, 3.0)}
TRAININGS = 1  # rounds of A and B
ROUNDS = 3  # of short commands
DECLARED = 40  # experiments of a large project
SAID = 2000  # last characters of what a failed command said
PYTHON = "python -c pass, seconds"
LINE = re.compile(r"epoch \d+/\d+ .* val/(?:accuracy|dice|score) ([\d.]+)")

Told = list[tuple[float, float]]  # of each epoch, seconds since the command and the score


def measured() -> Iterator[Figure]:
    """Measure in projects of their own, which are removed."""
    yield from _short_commands()
    yield from _dvc()
    for key in SCORED:
        yield from _time_to_score(key)


def _short_commands() -> Iterator[Figure]:
    """Yield what commands take that train nothing, beside the start of Python."""
    run = [
        "experiment=digits_lenet5",
        f"data.root={DATA / 'digits.zip'}",
        "trainer.max_epochs=1",
        "tracking.log_model=false",
    ]
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
    """Yield what `dvc repro` takes with nothing to do, with the project's experiments and with many declared."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        num_few = make_reproduced(few, REPOSITORY, _call)
        num_many = make_reproduced(many, REPOSITORY, _call, declared=DECLARED)
        works: dict[str, Callable[[], object]] = {
            "dvc --version, seconds": partial(_call, ["-m", "dvc", "--version"], few),
            _repro(num_few): partial(_call, ["-m", "dvc", "repro"], few),
            _repro(num_many): partial(_call, ["-m", "dvc", "repro"], many),
        }
        found = by_turns(works, rounds=ROUNDS)
    for name, each in found.items():
        yield Figure.over(name, each, goal=1.0 if name == _repro(num_few) else None, is_limit=True)
    slopes = [
        1000 * (long - short) / (num_many - num_few)
        for short, long in zip(found[_repro(num_few)], found[_repro(num_many)], strict=True)
    ]
    name = "dvc repro with nothing to do, milliseconds for each further experiment"
    yield Figure.over(name, slopes, goal=20, is_limit=True)


def _repro(experiments: int) -> str:
    return f"dvc repro with nothing to do, {experiments} experiments, seconds"


def _waits(works: Mapping[str, Callable[[], object]], limits: Mapping[str, float]) -> list[Figure]:
    """Return how long each work takes, run by turns, after each has run once."""
    found = by_turns(works, rounds=ROUNDS)
    return [Figure.over(name, each, goal=limits.get(name), is_limit=True) for name, each in found.items()]


def _time_to_score(key: str) -> Iterator[Figure]:
    """Yield how much sooner than plain Lightning ours reaches a score, each in a fresh project."""
    score, goal = SCORED[key]
    races = {"ours": _Races(), "lightning": _Races()}
    for seed in range(TRAININGS):
        for who, each in races.items():
            with tempfile.TemporaryDirectory() as folder:
                own = ["pipeline.train", *WORKLOADS[key].overrides(Path(folder)), "trainer.threads=null"]
                command = own if who == "ours" else ["benchmarks.contenders", key]
                each.add(_told([*command, f"seed={seed}"], Path(folder), enough=score), score)
    name = WORKLOADS[key].name
    pairs = zip(races["lightning"].reached, races["ours"].reached, strict=True)
    sooner = [long / short for long, short in pairs]
    yield Figure.over(f"{name}: ours at a score of {score:g}, times sooner than lightning", sooner, goal=goal)
    for who, each in races.items():
        yield Figure.over(f"{name}: {who}, seconds from command to a score of {score:g}", each.reached)
        yield Figure.over(f"{name}: {who}, seconds from command to first step", each.started)


class _Races:
    """Trainings of one contender.

    `started` holds seconds to the first epoch's start, taken to be as long before its end as the second epoch is;
    `reached` seconds to a score.
    """

    def __init__(self) -> None:
        self.started: list[float] = []
        self.reached: list[float] = []

    def add(self, told: Told, wanted: float) -> None:
        """Add a training by what it told of its epochs."""
        first, second = told[0][0], told[1][0]
        self.started.append(first - (second - first))
        self.reached.append(next(moment for moment, score in told if score >= wanted))


def _told(command: Sequence[str], project: Path, *, enough: float) -> Told:
    """Run a training until it has told two epochs and reached a score; return what it told of its epochs.

    Raises:
        RuntimeError: it has ended before.
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
            if len(told) > 1 and max(score for _, score in told) >= enough:
                process.kill()
                return told
    ended = f"python -m {' '.join(command)} has ended before a score of {enough:g}"
    raise RuntimeError(f"{ended}:\n{''.join(said)[-SAID:]}")


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
