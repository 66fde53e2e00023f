"""The checks: every module of this package exports one as `CHECK`."""

from __future__ import annotations

import importlib
from pathlib import Path

from pipeline.sanity.finding import Check


def check_names() -> list[str]:
    """Return the names of all checks."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def load_checks() -> dict[str, Check]:
    """Return the checks by name, in the order in which they run."""
    found = {name: importlib.import_module(f"{__package__}.{name}").CHECK for name in check_names()}
    return dict(sorted(found.items(), key=lambda each: each[1].group))
