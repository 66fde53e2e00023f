"""What is compared: methods, each trained with one seed or with several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline.errors import ConfigError, DamagedFileError, warn
from pipeline.runs.folder import RunFolder
from pipeline.tasks.demands import load_demands
from pipeline.tracking.lookup import find_children
from pipeline.training.trained import Trained, find_trained, finished_runs, open_trained


@dataclass(frozen=True)
class Method:
    """Trainings that differ in nothing but their seed.

    Args:
        name: what a user calls it.
        runs: seed -> finished run.
    """

    name: str
    runs: Mapping[int, Trained]

    @property
    def first(self) -> Trained:
        """The run of the lowest seed."""
        return self.runs[min(self.runs)]

    def validation(self) -> float:
        """Return the mean of the selecting score on validation images."""
        return fmean(run.folder.metrics()["score"] for run in self.runs.values())


def find_methods(names: Sequence[str], *, root: Path) -> list[Method]:
    """Return the methods that a user names, each with all finished runs that differ from the named one in their seed.

    Args:
        names: of runs, see `find_trained`.

    Raises:
        ConfigError: there is no such run, or two names mean the same method.
    """
    methods = [_with_other_seeds(name, find_trained(name, root=root), root) for name in names]
    for place, method in enumerate(methods):
        for other in methods[:place]:
            if method.first.folder.result()["fingerprint"] == other.first.folder.result()["fingerprint"]:
                problem = f"is the same method as {other.name}, but for the seed"
                raise ConfigError(method.name, problem, hint="name runs that differ otherwise, too")
    return methods


def find_points(parent: str, *, root: Path) -> tuple[str, list[Method]]:
    """Return the points of a sweep, best on validation images first.

    Args:
        parent: id or name of the sweep's run in MLflow.

    Returns:
        The id of that run, and its points.

    Raises:
        ConfigError: there is no such sweep, or fewer than two of its points have finished.
    """
    run_id, children = find_children(parent, root)
    points: dict[str, list[tuple[str, Trained]]] = {}
    for folder, name in children.items():
        run = RunFolder(root / folder)
        if run.has_results():
            points.setdefault(_without_seed(run), []).append((name, open_trained(run, root=root)))
    if len(points) < 2:
        problem = f"{len(points)} of its points have finished, and a comparison needs two"
        raise ConfigError(
            f"-m {parent}", problem, hint="name a sweep with several points, or run it to its end"
        )
    methods = [
        Method(_common(name for name, _ in runs), {run.declaration.seed: run for _, run in runs})
        for runs in points.values()
    ]
    first = methods[0].first
    demands = load_demands(first.declaration.task)
    sign = 1 if demands.mode_of(first.folder.selection(demands.score)["score"]) == "max" else -1
    return run_id, sorted(methods, key=lambda method: sign * method.validation(), reverse=True)


def _with_other_seeds(name: str, named: Trained, root: Path) -> Method:
    runs, seed = {}, named.declaration.seed
    kept = RunFolder(root / "runs" / named.folder.result()["fingerprint"])
    wanted = _without_seed(kept)
    for folder in finished_runs(root) if wanted else ():
        try:
            if _without_seed(folder) == wanted:
                trained = open_trained(folder, root=root)
                runs[trained.declaration.seed] = trained
        except DamagedFileError as damage:
            warn(f"{damage.file} {damage.problem}; the run is not looked at")
    return Method(name, {**runs, seed: named})


def _without_seed(run: RunFolder) -> str:
    """Return all that decides a run but its seed, as text; empty if the folder does not say."""
    identity: dict[str, Any] = run.state().get("identity", {})
    if not identity:
        return ""
    declaration = {key: value for key, value in identity["declaration"].items() if key != "seed"}
    return repr(sorted({**identity, "declaration": sorted(declaration.items(), key=str)}.items(), key=str))


def _common(names: Iterable[str]) -> str:
    """Return the name of a point from those of its runs, which may end with their seeds."""
    parts = [name.split(", ") for name in names]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    return ", ".join(shared) or ", ".join(parts[0])
