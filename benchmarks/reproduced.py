"""Projects in which DVC has nothing to do, made without a training.

`dvc repro` with nothing to do reads dvc.yaml, dvc.lock and the declared digests, and asks of each dependency and output
whether it has changed since; what is in an output has no say. So the real declarations are composed, small files stand
in for what the other stages would write, and `dvc commit` records all of it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.files import read_yaml, yaml_text

COPIED = (  # what DVC looks at
    "conf",
    "pipeline",
    "data",
    "data.dvc",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "dvc.yaml",
    "params.yaml",
    "requirements.lock",
)
VARIED = "digits_lenet5"  # experiment that declared ones vary

Call = Callable[[Sequence[str], Path], object]  # runs this Python in a folder


def make_reproduced(project: Path, repository: Path, call: Call, *, declared: int | None = None) -> int:
    """Make a project of a repository's code in which everything counts as reproduced.

    Args:
        project: a folder that is not there yet.
        declared: how many variants of one experiment to declare; None for the repository's own experiments.

    Returns:
        How many experiments are declared.
    """
    for name in COPIED:
        _copy(repository / name, project / name)
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)  # whose ignored files DVC asks for
    if declared is not None:
        _declare(project, declared)
    call(["-m", "pipeline.compose", "params.yaml", "artifacts/compose"], project)
    params = read_yaml((project / "params.yaml").read_text(encoding="utf-8"))
    for key in params["experiments"]:
        for suffix in ("yaml", "json"):  # as an experiment without a search passes through
            composed = project / "artifacts" / "compose" / f"{key}.{suffix}"
            _copy(composed, project / "artifacts" / "search" / key / f"best.{suffix}")
    stages = read_yaml((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for output in _outputs(stages, params):
        _stand_in(project, output)
    call(["-m", "dvc", "commit", "--force"], project)
    call(["-m", "dvc", "status", "--quiet"], project)  # fails where something is to do
    return len(params["experiments"])


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _declare(project: Path, count: int) -> None:
    """Declare variants of one experiment instead of the project's own, each with another learning rate."""
    folder = project / "conf" / "experiment"
    varied = read_yaml((folder / f"{VARIED}.yaml").read_text(encoding="utf-8"))
    experiments = {}
    for index in range(count):
        key = f"{VARIED}_{index:02d}"
        variant = {**varied, "name": key, "optimizer": {"lr": round(0.01 + 0.001 * index, 3)}}
        text = "# @package _global_\n" + yaml_text(variant)
        (folder / f"{key}.yaml").write_text(text, encoding="utf-8")
        experiments[key] = {"data": "digits", "overrides": ""}
    params = {"experiments": experiments, "augmented": {}}
    (project / "params.yaml").write_text(yaml_text(params), encoding="utf-8")


def _outputs(stages: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of all that stages write."""
    for stage in stages.values():
        if "foreach" not in stage:
            yield from _paths(stage)
            continue
        keys = params[stage["foreach"].removeprefix("${").removesuffix("}")]
        for path in _paths(stage["do"]):
            yield from (path.replace("${key}", key) for key in keys)


def _paths(stage: Mapping[str, Any]) -> Iterator[str]:
    written: Iterable[Any] = (each for kind in ("outs", "plots", "metrics") for each in stage.get(kind, []))
    yield from (each if isinstance(each, str) else next(iter(each)) for each in written)


def _stand_in(project: Path, output: str) -> None:
    """Write a small file, or a folder with one, where nothing is yet."""
    path = project / output
    if path.exists():
        return
    file = path if path.suffix else path / "stand_in.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"stands in for {output}\n", encoding="utf-8")
