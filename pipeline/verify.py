"""Compare the results of `dvc repro` byte by byte with those recorded in git, and explain any differences.

    python -m pipeline.verify
    python -m pipeline.verify record=true

`make repro` ends with the first command. The second records the hardware and the package versions that produced the
results in `artifacts/recorded.json`; commit this file together with `dvc.lock`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, DamagedFileError
from pipeline.files import YAMLError, read_json, read_yaml, write_text
from pipeline.runs.command import exit_on_mistake

LOCK, RECORDED = "dvc.lock", "artifacts/recorded.json"
METRICS = "artifacts/evaluate/{}/metrics.json"
Outs = dict[str, str]  # path of a file or folder -> its digest


def verify(root: Path) -> str:
    """Return a report of all differences; its last line counts the experiments that equal the recorded ones.

    Args:
        root: the project's folder, a git checkout in which `dvc repro` has run.

    Raises:
        ConfigError: there is nothing to compare.
    """
    recorded, here = _at_head(root, LOCK), root / LOCK
    if recorded is None or not here.is_file():
        raise ConfigError(
            LOCK,
            "there are no results to compare",
            hint="run `dvc repro` in a git checkout that has committed it",
        )
    before = _outs(read_yaml(recorded))
    after = _outs(_read_lock(here))
    names = list(read_yaml((root / "params.yaml").read_text(encoding="utf-8"))["experiments"])
    lines, num_equal = [], 0
    for name in names:
        differences = _differences(root, name, before.get(name, {}), after.get(name, {}))
        num_equal += not differences
        lines += differences
    if lines:
        lines += _environment_differences(root)
    ends = f"{num_equal} of {len(names)} experiments equal the recorded results"
    return "\n".join([*lines, f"{'reproduced' if num_equal == len(names) else 'not all reproduced'}: {ends}"])


def record(root: Path) -> Path:
    """Record the environment in which the results in the working tree were computed; return the path."""
    path = root / RECORDED
    write_text(path, json.dumps(_environment(), indent=2) + "\n")
    return path


def _read_lock(path: Path) -> dict[str, Any]:
    try:
        lock: Any = read_yaml(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError):
        lock = None
    if not isinstance(lock, dict) or "stages" not in lock:
        raise DamagedFileError(
            path, "is not a lock file of DVC", hint=f"`git checkout {LOCK}` brings it back"
        )
    return lock


def _outs(lock: Mapping[str, Any]) -> dict[str, Outs]:
    """Return the outputs of each experiment, whose stages are named `<stage>@<experiment>` in the lock file."""
    found: dict[str, Outs] = {}
    for stage, entry in lock["stages"].items():
        name = stage.partition("@")[2]
        found.setdefault(name, {}).update({out["path"]: out["md5"] for out in entry.get("outs", ())})
    return found


def _differences(root: Path, name: str, before: Outs, after: Outs) -> list[str]:
    """Say which results of an experiment differ, by how much its score does, and whether it was declared otherwise."""
    metrics = METRICS.format(name)  # of the last stage
    if metrics not in before:
        return [f"{name}: not recorded at HEAD; commit {LOCK} to record it"]
    if metrics not in after or not all((root / path).exists() for path in after):
        return [f"{name}: not reproduced here; run `dvc repro`"]
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    if not paths:
        return []
    lines = [f"{name}: other bytes in {', '.join(path.removeprefix('artifacts/') for path in paths)}"]
    was = json.loads(_at_head(root, metrics) or "{}").get("score")
    now = read_json(root / metrics).get("score")
    if was is not None and now is not None:
        lines.append(f"  score {now:.4f}, recorded {was:.4f}, difference {now - was:+.4f}")
    for suffix, what in ((".yaml", "declaration"), (".json", "code or versions of libraries")):
        path = f"artifacts/compose/{name}{suffix}"
        if (root / path).is_file() and _at_head(root, path) != (root / path).read_text(encoding="utf-8"):
            lines.append(f"  other {what} than at HEAD: git diff HEAD -- {path}")
            break
    return lines


def _environment_differences(root: Path) -> list[str]:
    """Describe the differences between this environment and the recorded one."""
    text = _at_head(root, RECORDED)
    if text is None:
        return []
    was, now = json.loads(text), _environment()
    lines = [
        f"  {key}: {now.get(key, 'absent')} here, {was.get(key, 'absent')} recorded"
        for key in {**was, **now}
        if was.get(key) != now.get(key)
    ]
    return [
        "what differs between here and the recorded environment:",
        *(lines or ["  nothing that was recorded"]),
    ]


def _environment() -> dict[str, str]:
    """Return the hardware, what settings left to it resolve to, and the versions of Python and of relevant packages."""
    from pipeline.declaration.hardware import probe
    from pipeline.tracking.provenance import hardware, versions  # imports torch

    return {**hardware(), **probe().describe(), **versions()}


def _at_head(root: Path, path: str) -> str | None:
    """Return the contents of a file at HEAD; None if it is not committed or git is not available."""
    command = ["git", "show", f"HEAD:./{path}"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=False)
    except OSError:  # git is not installed
        return None
    return done.stdout if done.returncode == 0 else None


def main() -> None:
    """Print the comparison, or record the environment."""
    arguments = sys.argv[1:]
    if arguments not in ([], ["record=true"]):
        raise ConfigError(
            "python -m pipeline.verify", got=arguments, allowed="followed by nothing or by record=true"
        )
    sys.stdout.write(f"{record(Path.cwd()) if arguments else verify(Path.cwd())}\n")


if __name__ == "__main__":
    exit_on_mistake(main)
