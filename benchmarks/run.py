"""Measure everything, and write `benchmarks/results.md` and `benchmarks/results.json`.

python -m benchmarks.run
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path

from benchmarks import augmentation, search
from benchmarks.figures import write


def main() -> None:
    """Measure, telling each figure as it comes."""
    figures = []
    for figure in chain(augmentation.measured(), search.measured()):
        figures.append(figure)
        goal = "" if figure.goal is None else f"  (goal {figure.goal:g}: {'met' if figure.met else 'missed'})"
        sys.stdout.write(f"{figure.value:10.2f}  {figure.name}{goal}\n")
        sys.stdout.flush()
    write(figures, Path(__file__).parent)


if __name__ == "__main__":
    main()
