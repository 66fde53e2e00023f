"""Measure everything, and write `benchmarks/results.md` and `benchmarks/results.json`; or measure parts.

    python -m benchmarks.run
    python -m benchmarks.run training inference

Parts are only told, not written.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Figure, write

PARTS = ("augmentation", "search", "data", "training", "watching", "inference", "prediction", "commands")


def main() -> None:
    """Measure the parts that the command line names, or all."""
    named = sys.argv[1:]
    unknown = [name for name in named if name not in PARTS]
    if unknown:
        raise SystemExit(f"no such part: {', '.join(unknown)}; choose of {', '.join(PARTS)}")
    figures = _told(named or PARTS)
    if not named:
        write(figures, Path(__file__).parent)


def _told(parts: Sequence[str]) -> list[Figure]:
    """Measure, telling each figure as it comes."""
    figures = []
    for part in parts:
        for figure in import_module(f"benchmarks.{part}").measured():
            figures.append(figure)
            goal = (
                ""
                if figure.goal is None
                else f"  (goal {figure.goal:g}: {'met' if figure.met else 'missed'})"
            )
            sys.stdout.write(f"{figure.value:10.2f}  {figure.name}{goal}\n")
            sys.stdout.flush()
    return figures


if __name__ == "__main__":
    main()
