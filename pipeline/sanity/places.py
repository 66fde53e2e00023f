"""Where findings lie, and what a search reads of them; importable without torch."""

from __future__ import annotations

from pathlib import Path

FINDINGS = "check.json"


def folder_of(digest: str, root: Path) -> Path:
    """Return the folder of the findings of a declaration, of the given digest."""
    return root / "runs" / "checks" / digest
