"""Provenance of a run: git commit, versions and hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.errors import redact

PACKAGES = (
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "albumentations",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scikit-learn",
    "scipy",
    "hydra-core",
    "mlflow",
    "dvc",
)


def git_state(root: Path) -> dict[str, str]:
    """Return `commit`, `dirty` (true, false) and, if dirty, the `patch` against the commit.

    The patch ends with the names of untracked files in conf/ and pipeline/. It leaves out the configuration of DVC, and
    passwords in URLs, which would be published with it. Outside a git checkout, the commit is `unknown`.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": "unknown", "dirty": "unknown"}
    patch = _git(root, "diff", "HEAD", "--", ".", ":!dvc.lock", ":!artifacts", ":!.dvc") or ""
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "--", "conf", "pipeline") or ""
    patch += "".join(f"# not tracked: {name}\n" for name in untracked.splitlines())
    patch = redact(patch)
    state = {"commit": commit.strip(), "dirty": "true" if patch.strip() else "false"}
    return state | ({"patch": patch} if patch.strip() else {})


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect results."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def hardware() -> dict[str, str]:
    """Return processor, cores, and accelerators by their torch names."""
    import torch  # slow to import, but already imported by callers that train

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "accelerators": ", ".join(names) or "none",
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # a patch may contain any encoding
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
